// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which elements write a recording: chosen by the location's extension and the streams' formats,
//! or named by the user; and how they are put together.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use gst::prelude::*;

use super::headers;
use super::settings::Order;
use super::shared::{Shared, Stream};
use super::source::{Counters, Feed, RecordingSource};
use super::target::Target;
use crate::streams::containers::{Container, Kind, UnknownExtension};
use crate::streams::creation::Creation;
use crate::streams::pictures::Pictures;
use crate::streams::place;
use crate::streams::sentences::lacks_rate;
use crate::streams::set::{self, SetError};
use crate::streams::{self, MissingElement, ogg, samples, srt, ticks, transport};

/// Why a recording's elements can't be put together. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BuildError {
    #[error(transparent)]
    Extension(#[from] UnknownExtension),
    #[error("set location, or muxer-factory")]
    NoLocation,
    #[error(transparent)]
    Missing(#[from] MissingElement),
    #[error(transparent)]
    Property(#[from] SetError),
    #[error("{0} can't store {1} ({2}): encode it differently or choose another format")]
    Unsupported(String, String, String),
    /// Sound in samples, which `qtmux` would count one by one in each fragment.
    #[error(
        "{0} can't store {1} ({2}) so that a file that is cut off plays: use .mkv or .avi, or encode it, as AAC for \
         example"
    )]
    Samples(String, String, String),
    #[error("{0}")]
    NoRate(String),
    #[error("{0} writes {1}, and there is no such stream")]
    NothingToWrite(String, &'static str),
    #[error("the elements of the recording can't be joined: {0}")]
    Join(#[from] glib::BoolError),
}

impl BuildError {
    /// What the element posts when no recording could be put together.
    pub(super) fn message(&self) -> gst::ErrorMessage {
        match self {
            Self::Missing(error) => streams::missing(error),
            Self::Unsupported(..)
            | Self::Samples(..)
            | Self::NoRate(_)
            | Self::NothingToWrite(..)
            | Self::Join(_) => {
                gst::error_msg!(gst::StreamError::Mux, ("{self}"))
            }
            Self::Extension(_) | Self::NoLocation | Self::Property(_) => {
                gst::error_msg!(gst::ResourceError::Settings, ("{self}"))
            }
        }
    }
}

/// What writes a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Writer {
    /// A muxer takes all streams.
    Muxer(String),
    /// The video alone as it is, in these caps.
    Frames(&'static str),
    /// Each picture in a file of its own.
    Pictures,
    /// The first sound alone, in a muxer of one stream or as it is.
    Sound(Option<&'static str>),
}

impl Writer {
    /// The writer for a location, unless `muxer` is named.
    pub(crate) fn of(
        location: Option<&str>,
        muxer: Option<&str>,
        streams: &[(usize, Stream)],
    ) -> Result<Self, BuildError> {
        if let Some(muxer) = muxer {
            return Ok(Self::Muxer(muxer.to_owned()));
        }
        let container = Container::of(location.ok_or(BuildError::NoLocation)?)?;
        Ok(match container.kind {
            Kind::Muxed(_) => {
                let names = streams.iter().filter_map(|(_, stream)| {
                    let structure = stream.caps.as_ref()?.structure(0)?;
                    Some(structure.name().as_str())
                });
                let muxer = container.muxer(names);
                Self::Muxer(muxer.map_or_else(String::new, |muxer| muxer.factory.to_owned()))
            }
            Kind::Frames(codec) => Self::Frames(codec.elementary_caps()),
            Kind::Pictures => Self::Pictures,
            Kind::Samples(muxer) => Self::Sound(muxer),
        })
    }
}

/// Looks for the elements that the settings name, or that the location's extension stands for, and whether they
/// have the properties that are set.
pub(crate) fn check(order: &Order) -> Result<(), BuildError> {
    if let Some(sink) = &order.sink {
        set::set_all(&streams::make(sink)?, order.sink_properties.as_ref())?;
    }
    match (&order.muxer, &order.pattern) {
        (Some(muxer), _) => {
            set::set_all(&streams::make(muxer)?, order.muxer_properties.as_ref())?;
        }
        (None, Some(location)) => {
            if let Writer::Muxer(muxer) = Writer::of(Some(location), None, &[])? {
                streams::find(&muxer)?;
            }
        }
        (None, None) => (),
    }
    Ok(())
}

/// Puts a recording together that never runs, to find out now what would keep every one from being written.
/// `streams` are those whose format is known; `all` says that no other is to come.
pub(super) fn rehearse(
    order: &Order,
    shared: &Arc<Shared>,
    streams: &[(usize, Stream)],
    all: bool,
) -> Result<(), BuildError> {
    if order.pattern.is_none() && order.muxer.is_none() {
        // Each recording is given a name of its own.
        return Ok(());
    }
    let mut streams = streams.to_vec();
    for (_, stream) in &mut streams {
        stream.caps = stream.caps.take().map(headers::with_any_size);
    }
    let counters = Arc::default();
    let feed = Feed::new(shared.clone(), order.id, 0, Arc::clone(&counters), None);
    let parts = Parts {
        order,
        target: &Target::rehearsed(order),
        streams: &streams,
        reference: streams.first().map_or(0, |(number, _)| *number),
        tags: None,
        counters: &counters,
        utc: None,
        make_room: Arc::new(|_| ()),
    };
    let source = RecordingSource::new(Arc::new(feed));
    match build(&gst::Bin::new(), &source, &parts) {
        Err(BuildError::NothingToWrite(..)) if !all => Ok(()),
        built => built.map(drop),
    }
}

/// What a recording is put together from.
pub(crate) struct Parts<'a> {
    pub order: &'a Order,
    pub target: &'a Target,
    /// The streams whose format is known, with their numbers.
    pub streams: &'a [(usize, Stream)],
    /// The number of the one that decides where the recording begins and ends.
    pub reference: usize,
    /// Tags of the whole file.
    pub tags: Option<gst::TagList>,
    pub counters: &'a Arc<Counters>,
    /// When the first picture was taken, in ns since 1970.
    pub utc: Option<i64>,
    /// Called before so many bytes are written to a file.
    pub make_room: Arc<dyn Fn(u64) + Send + Sync>,
}

impl std::fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("order", self.order)
            .field("target", self.target)
            .finish_non_exhaustive()
    }
}

/// What goes into a recording.
#[derive(Debug)]
pub(crate) struct Built {
    /// The numbers of the streams in the file.
    pub streams: Vec<usize>,
    /// Others would be in it too, if something had come of them.
    pub takes_all: bool,
}

/// Puts parsers, muxer and sink behind the source.
pub(crate) fn build(
    bin: &gst::Bin,
    source: &RecordingSource,
    parts: &Parts<'_>,
) -> Result<Built, BuildError> {
    let Parts { order, target, .. } = parts;
    let location = target.location.as_deref();
    let writer = Writer::of(location, order.muxer.as_deref(), parts.streams)?;
    let chosen = choose(&writer, parts.streams)?;
    let sink = make_sink(&writer, order, target)?;
    watch_progress(&sink, &writer, parts);
    bin.add_many([source.upcast_ref::<gst::Element>(), &sink])?;
    let last = match make_last(&writer, parts)? {
        None => sink,
        Some(last) => {
            bin.add(&last)?;
            last.link(&sink)?;
            last
        }
    };
    let form = match &writer {
        Writer::Frames(caps) => Some(caps.parse::<gst::Caps>()?),
        Writer::Sound(None) => Some(gst::Caps::new_empty_simple("audio/x-raw")),
        _ => None,
    };
    if matches!(&writer, Writer::Muxer(muxer) if muxer == "avimjpegmux") {
        source.leave_holes();
    }
    if matches!(&writer, Writer::Muxer(muxer) if streams::keeps_times(muxer)) {
        source.leave_gaps();
    }
    for (number, stream) in &chosen {
        let pad = source
            .add_stream(*number, stream, *number == parts.reference)
            .ok_or_else(|| glib::bool_error!("no pad for {}", stream.name))?;
        join(bin, &pad, stream, &last, form.as_ref())?;
    }
    Ok(Built {
        streams: chosen.iter().map(|(number, _)| *number).collect(),
        takes_all: matches!(writer, Writer::Muxer(_)),
    })
}

/// The streams that the writer takes.
fn choose<'a>(
    writer: &Writer,
    streams: &'a [(usize, Stream)],
) -> Result<Vec<&'a (usize, Stream)>, BuildError> {
    let one = |video: bool| {
        let of_kind = move |(_, stream): &&(usize, Stream)| stream.is_video() == video;
        streams.iter().filter(of_kind).take(1).collect::<Vec<_>>()
    };
    let (chosen, who, what) = match writer {
        Writer::Muxer(name) => (streams.iter().collect(), name.as_str(), "video"),
        Writer::Frames(_) => (one(true), "A file of frames", "video"),
        Writer::Pictures => (one(true), "A file of a picture", "video"),
        Writer::Sound(_) => (one(false), "A file of samples", "sound"),
    };
    match chosen.is_empty() {
        true => Err(BuildError::NothingToWrite(who.to_owned(), what)),
        false => Ok(chosen),
    }
}

/// What stores the recording.
fn make_sink(writer: &Writer, order: &Order, target: &Target) -> Result<gst::Element, BuildError> {
    let sink = match (&target.pictures, order.sink.as_deref()) {
        (Some(pattern), None) if *writer == Writer::Pictures => {
            Pictures::new(pattern.clone(), order.overwrite, true).upcast()
        }
        (_, factory) => streams::make(factory.unwrap_or("filesink"))?,
    };
    // Written as fast as the storage takes it, and at once: 64 KiB in memory are seconds of picture that a kill
    // would take.
    streams::set_if_there(&sink, "sync", "false");
    streams::set_if_there(&sink, "async", "false");
    if order.to_file() {
        streams::set_if_there(&sink, "buffer-mode", "unbuffered");
    }
    if let Some(name) = &target.location {
        place::set_name(&sink, name)?;
    }
    set::set_all(&sink, order.sink_properties.as_ref())?;
    srt::hear_out(&sink);
    Ok(sink)
}

/// Counts whatever reaches the sink, to see that it moves, and has room made for it and the disk take it.
fn watch_progress(sink: &gst::Element, writer: &Writer, parts: &Parts<'_>) {
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
    for pad in sink.sink_pads() {
        let counters = parts.counters.clone();
        let make_room = parts.order.to_file().then(|| parts.make_room.clone());
        let sync = match writer {
            Writer::Muxer(muxer) if streams::syncs_itself(muxer) => None,
            _ => parts.target.sync(sink),
        };
        pad.add_probe(kinds, move |_, info| {
            counters.progress.fetch_add(1, Ordering::Relaxed);
            if let Some(sync) = &sync {
                sync.written();
            }
            if let Some(make_room) = &make_room {
                make_room(streams::bytes_in(info));
            }
            gst::PadProbeReturn::Ok
        });
    }
}

/// What stands in front of the sink: a muxer, or what keeps other formats out.
fn make_last(writer: &Writer, parts: &Parts<'_>) -> Result<Option<gst::Element>, BuildError> {
    let caps = match writer {
        Writer::Pictures => return Ok(None),
        Writer::Frames(caps) => caps,
        Writer::Sound(None) => "audio/x-raw",
        Writer::Sound(Some(factory)) => return make_muxer(factory, parts).map(Some),
        Writer::Muxer(factory) => {
            let muxer = make_muxer(factory, parts)?;
            set::set_all(&muxer, parts.order.muxer_properties.as_ref())?;
            return Ok(Some(muxer));
        }
    };
    let filter = streams::make("capsfilter")?;
    set::set(&filter, "caps", &caps.to_value())?;
    Ok(Some(filter))
}

fn make_muxer(factory: &str, parts: &Parts<'_>) -> Result<gst::Element, BuildError> {
    let muxer = streams::make(factory)?;
    let sink = parts.order.sink.as_deref().unwrap_or("filesink");
    streams::write_in_fragments(&muxer, sink);
    ticks::refine(&muxer);
    transport::put_right(&muxer);
    ogg::put_right(&muxer);
    if let (Some(setter), Some(tags)) = (muxer.dynamic_cast_ref::<gst::TagSetter>(), &parts.tags) {
        setter.merge_tags(tags, gst::TagMergeMode::Replace);
    }
    let creation = Creation::default();
    creation.attach(&muxer);
    creation.set(&muxer, parts.utc);
    Ok(muxer)
}

/// Joins a stream's pad with an element, a parser between them if that is what it takes.
///
/// `to` is a muxer, of which a pad is requested, or an element with one sink pad that has to get
/// the given form.
fn join(
    bin: &gst::Bin,
    pad: &gst::Pad,
    stream: &Stream,
    to: &gst::Element,
    form: Option<&gst::Caps>,
) -> Result<(), BuildError> {
    let name = || {
        to.factory()
            .map_or_else(String::new, |f| f.name().to_string())
    };
    let Some(caps) = &stream.caps else {
        return Err(BuildError::NothingToWrite(name(), "a stream with a format"));
    };
    if let Some(text) = lacks_rate(&name(), caps) {
        return Err(BuildError::NoRate(text));
    }
    let told = || (name(), stream.name.clone(), caps.to_string());
    let unsupported = || {
        let (muxer, stream, caps) = told();
        BuildError::Unsupported(muxer, stream, caps)
    };
    let counts = streams::writes_fragments(to) && samples::are_counted(caps);
    if form.is_none() && counts && takes(to, |form| caps.can_intersect(form)) {
        let chain = samples::in_packets(caps)?.ok_or_else(|| {
            let (muxer, stream, caps) = told();
            BuildError::Samples(muxer, stream, caps)
        })?;
        let packets = gst::Caps::new_empty_simple(samples::PACKETS);
        return lead(bin, pad, &chain, to, &packets)?.ok_or_else(unsupported);
    }
    let parser = streams::any_parser(caps);
    let as_it_is = match form {
        Some(form) => form.can_intersect(caps),
        // Pads take what is in their caps; a parser can add a field that is missing.
        None => takes(to, |form| {
            caps.is_subset(form) || (parser.is_none() && caps.can_intersect(form))
        }),
    };
    if as_it_is && let Some(sink) = to.compatible_pad(pad, Some(caps)) {
        pad.link(&sink).map_err(|_| unsupported())?;
        return Ok(());
    }
    let parser = streams::make(parser.ok_or_else(unsupported)?.factory)?;
    // Without it parameter sets are sent once, which is enough for no format that needs a parser
    // because it has none outside the stream.
    streams::set_if_there(&parser, "config-interval", "-1");
    let forms = gst::Caps::builder(caps.structure(0).map_or("", |s| s.name())).build();
    lead(bin, pad, &[parser], to, &forms)?.ok_or_else(unsupported)
}

/// Leads what leaves a pad through `chain`, which makes `forms` of it, to a pad of the muxer; `None` if they do not fit.
fn lead(
    bin: &gst::Bin,
    pad: &gst::Pad,
    chain: &[gst::Element],
    to: &gst::Element,
    forms: &gst::Caps,
) -> Result<Option<()>, BuildError> {
    bin.add_many(chain)?;
    let linked = || {
        pad.link(&chain.first()?.static_pad("sink")?).ok()?;
        streams::link(chain).ok()?;
        let source = chain.last()?.static_pad("src")?;
        let sink = to.compatible_pad(&source, Some(forms))?;
        source.link(&sink).ok().map(drop)
    };
    Ok(linked())
}

/// Whether one of the element's sink pad templates has caps that suit.
fn takes(element: &gst::Element, suits: impl Fn(&gst::Caps) -> bool) -> bool {
    element
        .pad_template_list()
        .iter()
        .filter(|t| t.direction() == gst::PadDirection::Sink)
        .any(|t| suits(t.caps()))
}
