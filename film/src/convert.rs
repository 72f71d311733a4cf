// SPDX-License-Identifier: MIT OR Apache-2.0
//! The film through a pipeline: whatever GStreamer decodes, turned and paced, into `recordsink`.
//!
//! What streams a film has is known once it is decoded. They are held there until `recordsink` has
//! a pad for each.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use rustix::process::Signal;

use crate::bar::Bar;
use crate::options::Options;

/// What came of a film.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Converted {
    pub frames: u64,
    pub bytes: u64,
    pub duration: gst::ClockTime,
    pub sound: bool,
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConvertError {
    /// The file cannot be opened.
    #[error("{0}: {1}")]
    Film(String, #[source] std::io::Error),
    /// GStreamer takes only names in UTF-8.
    #[error("{0} is no name in UTF-8")]
    Name(String),
    /// Something is missing or does not fit.
    #[error("{0}")]
    Pipeline(#[from] glib::BoolError),
    /// The same, of a branch.
    #[error("{0}")]
    Branch(#[from] glib::Error),
    /// An element that writes the file failed.
    #[error("{0}")]
    Failed(String),
    /// One that reads the film failed.
    #[error("{0}: {1}")]
    Unreadable(String, String),
    /// There is nothing to see in it.
    #[error("{0}: there are no pictures in it")]
    NoPictures(String),
    /// It ended, and no file came.
    #[error("{0}: no picture of it could be decoded")]
    Nothing(String),
}

/// What reads and decodes the film is called this.
const SOURCE: &str = "film-to-read";

/// A stream of the film, held back.
struct Held {
    pad: gst::Pad,
    probe: Option<gst::PadProbeId>,
}

impl Held {
    fn is(&self, kind: &str) -> bool {
        caps_of(&self.pad)
            .structure(0)
            .is_some_and(|structure| structure.name().starts_with(kind))
    }
}

/// What a pad brings; it may not have been told of it yet.
fn caps_of(pad: &gst::Pad) -> gst::Caps {
    let told = pad.current_caps();
    told.unwrap_or_else(|| pad.query_caps(None))
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(probe) = self.probe.take() {
            self.pad.remove_probe(probe);
        }
    }
}

/// The streams as they come; `None` once none is held back any more. A decoder that waits in one
/// cannot be stopped.
type Streams = Arc<Mutex<Option<Vec<Held>>>>;

/// How the pipeline ended.
#[derive(Debug)]
enum End {
    Done,
    Interrupted,
    Failed(ConvertError),
}

/// A film on its way.
struct Conversion {
    options: Options,
    file: PathBuf,
    pipeline: gst::Pipeline,
    source: gst::Element,
    streams: Streams,
    /// How far its pictures are, in nanoseconds; written by their thread.
    seen: Arc<AtomicU64>,
    converted: Cell<Converted>,
    end: RefCell<End>,
    main_loop: glib::MainLoop,
}

/// Converts a film to `file`. `None` if it was interrupted.
pub(crate) fn convert(options: &Options, file: &Path) -> Result<Option<Converted>, ConvertError> {
    let streams: Streams = Arc::new(Mutex::new(Some(Vec::new())));
    let source = source(options, &streams)?;
    let pipeline = gst::Pipeline::new();
    pipeline.add(&source)?;
    let _stop = Stop(pipeline.clone(), streams.clone());
    let conversion = Rc::new(Conversion {
        options: options.clone(),
        file: file.to_owned(),
        pipeline,
        source,
        streams,
        seen: Arc::default(),
        converted: Cell::default(),
        end: RefCell::new(End::Interrupted),
        main_loop: glib::MainLoop::new(None, false),
    });
    run(&conversion)
}

/// Takes the pipeline to NULL, however it ends.
struct Stop(gst::Pipeline, Streams);

impl Drop for Stop {
    fn drop(&mut self) {
        drop(lock(&self.1).take());
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// What reads and decodes the film, and holds its streams back.
fn source(options: &Options, streams: &Streams) -> Result<gst::Element, ConvertError> {
    let path = options.film.canonicalize();
    let path = path.map_err(|error| ConvertError::Film(options.shown(), error))?;
    let uri = glib::filename_to_uri(path, None)?;
    let source = gst::ElementFactory::make("uridecodebin")
        .name(SOURCE)
        .property("uri", uri.as_str())
        .build()?;
    let held = streams.clone();
    source.connect_pad_added(move |_, pad| {
        if let Some(streams) = &mut *lock(&held) {
            let block = gst::PadProbeType::BLOCK_DOWNSTREAM;
            let probe = pad.add_probe(block, |_, _| gst::PadProbeReturn::Ok);
            let pad = pad.clone();
            streams.push(Held { pad, probe });
        }
    });
    source.connect_no_more_pads(|source| {
        let known = gst::Structure::new_empty("streams-known");
        let message = gst::message::Application::builder(known)
            .src(source)
            .build();
        let _ = source.post_message(message);
    });
    Ok(source)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn run(conversion: &Rc<Conversion>) -> Result<Option<Converted>, ConvertError> {
    let bus = conversion.pipeline.bus();
    let bus = bus.ok_or_else(|| glib::bool_error!("A pipeline has no bus"))?;
    let own = conversion.clone();
    let _watch = bus.add_watch_local(move |_, message| {
        own.hear(message);
        glib::ControlFlow::Continue
    })?;
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let own = conversion.clone();
        glib_unix::unix_signal_add_local(signal.as_raw(), move || {
            own.finish(End::Interrupted);
            glib::ControlFlow::Continue
        });
    }
    let bar = RefCell::new(Bar::new());
    let own = conversion.clone();
    let timer = glib::timeout_add_local(Duration::from_millis(200), move || {
        let done = gst::ClockTime::from_nseconds(own.seen.load(Ordering::Relaxed));
        bar.borrow_mut().at(done, own.source.query_duration());
        glib::ControlFlow::Continue
    });
    // What does not start posts why.
    let _ = conversion.pipeline.set_state(gst::State::Playing);
    conversion.main_loop.run();
    timer.remove();
    let converted = conversion.converted.get();
    match conversion.end.replace(End::Interrupted) {
        End::Done if converted.frames == 0 => {
            Err(ConvertError::Nothing(conversion.options.shown()))
        }
        End::Done => Ok(Some(converted)),
        End::Interrupted => Ok(None),
        End::Failed(error) => Err(error),
    }
}

impl Conversion {
    fn finish(&self, how: End) {
        self.end.replace(how);
        self.main_loop.quit();
    }

    fn hear(&self, message: &gst::Message) {
        match message.view() {
            gst::MessageView::Application(_) => match self.connect() {
                Ok(sound) => self.converted.set(Converted {
                    sound,
                    ..self.converted.get()
                }),
                // Its streams flow again, into nothing: what the source says to that is no reason.
                Err(error @ ConvertError::NoPictures(_)) => self.finish(End::Failed(error)),
                Err(error) => self.finish(End::Failed(self.reason().unwrap_or(error))),
            },
            gst::MessageView::Element(element) => {
                if let Some(structure) = element.structure() {
                    let converted = count(self.converted.get(), structure);
                    self.converted.set(converted);
                }
            }
            gst::MessageView::Warning(warning) => {
                crate::complain(&format!("\r{}", warning.error()))
            }
            gst::MessageView::Error(error) => {
                self.finish(End::Failed(failed(&self.options, error)));
            }
            gst::MessageView::Eos(_) => self.finish(End::Done),
            _ => {}
        }
    }

    /// Brings the streams to a file; whether sound is among them.
    fn connect(&self) -> Result<bool, ConvertError> {
        let streams = lock(&self.streams).take().unwrap_or_default();
        let first = |kind: &str| streams.iter().position(|stream| stream.is(kind));
        let pictures = first("video/");
        let pictures = pictures.ok_or_else(|| ConvertError::NoPictures(self.options.shown()))?;
        let sound = first("audio/").filter(|_| self.options.sound);
        let sink = sink(&self.options, &self.file)?;
        // Its streams are chosen before it is in a pipeline that starts.
        let mut branches: Vec<Option<(gst::Bin, gst::Pad)>> = Vec::new();
        for (number, Held { pad, .. }) in streams.iter().enumerate() {
            branches.push(if number == pictures {
                watch(pad, self.seen.clone());
                Some((pictures_branch(&self.options, pad)?, entry(&sink, "video")?))
            } else if Some(number) == sound {
                let queue = gst::parse::bin_from_description("queue", true)?;
                Some((queue, entry(&sink, "audio")?))
            } else {
                None
            });
        }
        self.pipeline.add(&sink)?;
        for (stream, branch) in streams.iter().zip(branches) {
            self.lead(&stream.pad, branch)?;
        }
        // From the file upward, so that nothing is sent to what does not yet take it.
        for element in self.pipeline.iterate_sinks().into_iter().flatten() {
            element.sync_state_with_parent()?;
        }
        for element in self.pipeline.iterate_elements().into_iter().flatten() {
            element.sync_state_with_parent()?;
        }
        drop(streams);
        Ok(sound.is_some())
    }

    /// Leads a stream through a branch to the file, or nowhere.
    fn lead(
        &self,
        stream: &gst::Pad,
        branch: Option<(gst::Bin, gst::Pad)>,
    ) -> Result<(), ConvertError> {
        let first: gst::Element = match branch {
            Some((branch, entry)) => {
                self.pipeline.add(&branch)?;
                let out = branch.static_pad("src");
                let out = out.ok_or_else(|| glib::bool_error!("{} has no end", branch.name()))?;
                link(&out, &entry)?;
                branch.upcast()
            }
            None => {
                let nowhere = gst::ElementFactory::make("fakesink")
                    .property("async", false)
                    .build()?;
                self.pipeline.add(&nowhere)?;
                nowhere
            }
        };
        let entry = first.static_pad("sink");
        let entry = entry.ok_or_else(|| glib::bool_error!("{} has no beginning", first.name()))?;
        Ok(link(stream, &entry)?)
    }

    /// What an element that did not start has posted.
    fn reason(&self) -> Option<ConvertError> {
        let message = self
            .pipeline
            .bus()?
            .pop_filtered(&[gst::MessageType::Error])?;
        match message.view() {
            gst::MessageView::Error(error) => Some(failed(&self.options, error)),
            _ => None,
        }
    }
}

fn failed(options: &Options, error: &gst::message::Error) -> ConvertError {
    gst::debug!(gst::CAT_DEFAULT, "{:?}", error.debug());
    let text = error.error().to_string();
    let path = error.src().map(|src| src.path_string());
    match path.is_some_and(|path| path.contains(SOURCE)) {
        true => ConvertError::Unreadable(options.shown(), text),
        false => ConvertError::Failed(text),
    }
}

/// Notes what `recordsink` says of the file.
fn count(mut converted: Converted, message: &gst::StructureRef) -> Converted {
    if message.name() != "recordsink-file" {
        return converted;
    }
    let number = |field| message.get::<u64>(field).unwrap_or_default();
    converted.frames += number("frames");
    converted.bytes += number("bytes");
    let duration = message.get::<gst::ClockTime>("duration");
    converted.duration += duration.unwrap_or_default();
    converted
}

/// A pad of `recordsink`.
fn entry(sink: &gst::Element, name: &str) -> Result<gst::Pad, glib::BoolError> {
    let pad = sink.request_pad_simple(name);
    pad.ok_or_else(|| glib::bool_error!("{} takes no {name}", sink.name()))
}

fn link(from: &gst::Pad, to: &gst::Pad) -> Result<(), glib::BoolError> {
    let linked = from.link(to).map(drop);
    linked.map_err(|error| glib::bool_error!("{} and {}: {error}", from.name(), to.name()))
}

fn sink(options: &Options, file: &Path) -> Result<gst::Element, ConvertError> {
    let name = file.to_str();
    let name = name.ok_or_else(|| ConvertError::Name(file.display().to_string()))?;
    let (width, height) = options.size.unwrap_or((0, 0));
    Ok(gst::ElementFactory::make("recordsink")
        // A per cent sign begins a number or a time there.
        .property("location", name.replace('%', "%%"))
        .property_from_str(
            "profile",
            if options.for_board() {
                "k210"
            } else {
                "standard"
            },
        )
        .property_from_str("quality", &options.quality)
        .property("width", width)
        .property("height", height)
        .build()?)
}

/// What turns the pictures as the film's tag says, and gives them a pace.
fn pictures_branch(options: &Options, pad: &gst::Pad) -> Result<gst::Bin, ConvertError> {
    let mut branch = "queue ! videoconvert ! videoflip video-direction=auto".to_owned();
    if let Some(limit) = options.rate {
        let rate = pace(pad, limit);
        branch += &format!(
            " ! videorate ! capsfilter caps=video/x-raw,framerate={}/{}",
            rate.numer(),
            rate.denom()
        );
    }
    Ok(gst::parse::bin_from_description(&branch, true)?)
}

/// The film's own rate if it has one, and it is no more than `limit`.
fn pace(pad: &gst::Pad, limit: u32) -> gst::Fraction {
    let limit = gst::Fraction::new(i32::try_from(limit).unwrap_or(i32::MAX), 1);
    let caps = caps_of(pad);
    let own = caps.structure(0).and_then(|structure| {
        let rate = structure.get::<gst::Fraction>("framerate");
        rate.ok().filter(|rate| rate.numer() > 0)
    });
    own.map_or(limit, |own| own.min(limit))
}

/// Notes how far the pictures are.
fn watch(pad: &gst::Pad, seen: Arc<AtomicU64>) {
    pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
        let segment = pad.sticky_event::<gst::event::Segment>(0);
        let time = segment.and_then(|event| {
            let segment = event.segment().downcast_ref::<gst::ClockTime>()?;
            segment.to_stream_time(info.buffer()?.pts())
        });
        if let Some(time) = time {
            seen.store(time.nseconds(), Ordering::Relaxed);
        }
        gst::PadProbeReturn::Ok
    });
}
