// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::lane::{Encoded, Job, Lane, LaneError};
use super::line::Line;
use super::settings::{PROPERTIES, Settings};
use crate::streams;
use crate::sync::lock;

/// Pictures of one of which no other is needed.
const STILL_PICTURES: [&str; 6] = [
    "image/jpeg",
    "image/png",
    "image/webp",
    "image/jp2",
    "image/x-j2c",
    "image/x-jpc",
];

/// What keeps its place in the order.
#[derive(Debug)]
enum Item {
    Picture(Result<Encoded, LaneError>),
    Event(gst::Event),
}

type Pictures = Line<Job, Item>;

/// Written by state changes only.
#[derive(Default)]
struct State {
    encoders: Vec<gst::Element>,
    /// At rest here, and with the threads while they run.
    lanes: Vec<Lane>,
    threads: Vec<JoinHandle<Lane>>,
    /// The first encoder's sink pad: what it accepts, all accept.
    encoder_pad: Option<gst::Pad>,
}

/// Written by upstream's thread, and where it is said by the source pad's.
#[derive(Debug)]
struct Stream {
    caps: Option<gst::Caps>,
    segment: Option<gst::Event>,
    frame_time: gst::ClockTime,
    /// What downstream answered last, for upstream; by the source pad's thread.
    flow: Result<gst::FlowSuccess, gst::FlowError>,
    /// Upstream has ended and learns no more from its pushes.
    eos: bool,
    /// What may not come before caps, which are known with the first picture; by the source pad's
    /// thread.
    held: Vec<gst::Event>,
    /// That a buffer was empty has been told.
    told_empty: bool,
}

impl Default for Stream {
    fn default() -> Self {
        Self {
            caps: None,
            segment: None,
            frame_time: gst::ClockTime::ZERO,
            flow: Ok(gst::FlowSuccess::Ok),
            eos: false,
            held: Vec::new(),
            told_empty: false,
        }
    }
}

pub struct ParallelEnc {
    sink: gst::Pad,
    src: gst::Pad,
    settings: Mutex<Settings>,
    state: Mutex<State>,
    stream: Mutex<Stream>,
    /// Replaced in READY to PAUSED.
    line: Mutex<Arc<Pictures>>,
}

#[glib::object_subclass]
impl ObjectSubclass for ParallelEnc {
    const NAME: &'static str = "GstParallelEnc";
    type Type = super::ParallelEnc;
    type ParentType = gst::Bin;

    fn with_class(class: &Self::Class) -> Self {
        let sink = pad(class, "sink")
            .chain_function(|pad, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |this| this.chain(pad, buffer),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |this| this.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.sink_query(pad, query))
            })
            .build();
        let src = pad(class, "src")
            .activatemode_function(|pad, parent, mode, active| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::loggable_error!(CAT, "panicked")),
                    |this| this.activate_src(pad, mode, active),
                )
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |this| this.src_query(pad, query))
            })
            .build();
        Self {
            sink,
            src,
            settings: Mutex::default(),
            state: Mutex::default(),
            stream: Mutex::default(),
            line: Mutex::new(Arc::new(Line::new(1))),
        }
    }
}

#[expect(clippy::expect_used, reason = "pad_templates() has a sink and a src")]
fn pad(class: &<ParallelEnc as ObjectSubclass>::Class, name: &str) -> gst::PadBuilder<gst::Pad> {
    let template = class
        .pad_template(name)
        .expect("pad_templates() has a sink and a src");
    gst::Pad::builder_from_template(&template)
}

impl ObjectImpl for ParallelEnc {
    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        for pad in [&self.sink, &self.src] {
            let added = obj.add_pad(pad);
            debug_assert!(added.is_ok(), "a new element has no pad yet");
        }
    }

    fn properties() -> &'static [glib::ParamSpec] {
        PROPERTIES.specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        PROPERTIES.set(&self.settings, pspec, value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        PROPERTIES.get(&self.settings, pspec)
    }
}

impl GstObjectImpl for ParallelEnc {}

impl ElementImpl for ParallelEnc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Parallel encoder",
                "Codec/Encoder/Image",
                "Encodes the pictures of one stream on several cores",
                "The gst-plugin-kendryte developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let mut pictures = gst::Caps::new_empty();
            for name in STILL_PICTURES {
                pictures.merge(gst::Caps::new_empty_simple(name));
            }
            let raw = gst::Caps::new_empty_simple("video/x-raw");
            [
                ("sink", gst::PadDirection::Sink, raw),
                ("src", gst::PadDirection::Src, pictures),
            ]
            .into_iter()
            .filter_map(|(name, direction, caps)| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, &caps).ok()
            })
            .collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady => self.make_encoders().map_err(|message| {
                self.forget_encoders();
                self.obj().post_error_message(message);
                gst::StateChangeError
            })?,
            gst::StateChange::ReadyToPaused => self.send_to_work().map_err(|err| {
                self.send_home();
                gst::element_imp_error!(self, gst::CoreError::Thread, ("{err}"));
                gst::StateChangeError
            })?,
            // Upstream may be waiting for room.
            gst::StateChange::PausedToReady => lock(&self.line).stop(),
            _ => (),
        }
        let success = self.parent_change_state(transition)?;
        match transition {
            gst::StateChange::PausedToReady => self.send_home(),
            gst::StateChange::ReadyToNull => self.forget_encoders(),
            _ => (),
        }
        Ok(success)
    }
}

impl BinImpl for ParallelEnc {}

impl ParallelEnc {
    fn make_encoders(&self) -> Result<(), gst::ErrorMessage> {
        let description = lock(&self.settings).encoder().to_owned();
        if let Some(name) = description.split_whitespace().next() {
            // Its error names the package to install.
            streams::make(name).map_err(|err| streams::missing(&err))?;
        }
        let wrong = |err: &dyn std::fmt::Display| {
            gst::error_msg!(
                gst::ResourceError::Settings,
                ("encoder={description:?} cannot be used: {err}")
            )
        };
        let threads = lock(&self.settings).threads();
        for _ in 0..threads {
            let encoder: gst::Element = gst::parse::bin_from_description(&description, true)
                .map_err(|err| wrong(&err))?
                .upcast();
            // In the bin first: elements lose their links when they are put into one.
            self.obj().add(&encoder).map_err(|err| wrong(&err))?;
            let mut state = lock(&self.state);
            state.encoders.push(encoder.clone());
            let lane = Lane::new(&encoder, &self.src).map_err(|err| wrong(&err))?;
            state.encoder_pad = state.encoder_pad.take().or_else(|| lane.encoder_pad());
            state.lanes.push(lane);
        }
        Ok(())
    }

    fn forget_encoders(&self) {
        let state = std::mem::take(&mut *lock(&self.state));
        drop(state.lanes);
        for encoder in state.encoders {
            let _ = self.obj().remove(&encoder);
            let _ = encoder.set_state(gst::State::Null);
        }
    }

    fn send_to_work(&self) -> Result<(), Box<dyn std::error::Error>> {
        *lock(&self.stream) = Stream::default();
        let mut state = lock(&self.state);
        // One being encoded and one waiting for each thread: none is idle for long.
        let line = Arc::new(Line::new(state.lanes.len() * 2));
        *lock(&self.line) = line.clone();
        for (n, mut lane) in std::mem::take(&mut state.lanes).into_iter().enumerate() {
            lane.set_active(true)?;
            let line = line.clone();
            let thread = std::thread::Builder::new().name(format!("parallelenc{n}"));
            state.threads.push(thread.spawn(move || {
                while let Some((ticket, job)) = line.take() {
                    line.done(ticket, Item::Picture(lane.encode(job)));
                }
                lane
            })?);
        }
        Ok(())
    }

    fn send_home(&self) {
        lock(&self.line).close();
        let threads = std::mem::take(&mut lock(&self.state).threads);
        let lanes = threads.into_iter().filter_map(|thread| {
            let mut lane = thread.join().ok()?;
            let _ = lane.set_active(false);
            Some(lane)
        });
        let lanes = lanes.collect();
        lock(&self.state).lanes = lanes;
    }

    fn chain(
        &self,
        _pad: &gst::Pad,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        if buffer.size() == 0 {
            return self.leave_out();
        }
        let job = {
            let stream = lock(&self.stream);
            stream.flow?;
            let (Some(caps), Some(segment)) = (stream.caps.clone(), stream.segment.clone()) else {
                return Err(gst::FlowError::NotNegotiated);
            };
            Job {
                buffer,
                caps,
                segment,
            }
        };
        let line = lock(&self.line).clone();
        let put = line.put(job);
        let flow = lock(&self.stream).flow;
        match put {
            Ok(()) => flow,
            Err(_) => Err(flow.err().unwrap_or(gst::FlowError::Flushing)),
        }
    }

    /// There is no picture in it, and an encoder that is given it fails.
    fn leave_out(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        if !std::mem::replace(&mut lock(&self.stream).told_empty, true) {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Format,
                ("An empty buffer came, and perhaps more of them: there is no picture to encode in it")
            );
        }
        lock(&self.stream).flow
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        let line = lock(&self.line).clone();
        match event.view() {
            gst::EventView::FlushStart(_) => {
                line.stop();
                let pushed = self.src.push_event(event);
                let _ = self.src.pause_task();
                pushed
            }
            gst::EventView::FlushStop(_) => {
                let pushed = self.src.push_event(event);
                {
                    let mut stream = lock(&self.stream);
                    stream.flow = Ok(gst::FlowSuccess::Ok);
                    stream.eos = false;
                    stream.segment = None;
                    stream.held.clear();
                }
                line.start();
                self.start_task() && pushed
            }
            gst::EventView::Caps(caps) => {
                let accepted = self.caps_arrived(caps.caps_owned());
                if !accepted {
                    gst::warning!(
                        CAT,
                        obj = pad,
                        "The encoder does not take {:?}",
                        caps.caps()
                    );
                }
                // Downstream gets the caps of what the encoders make of it.
                accepted
            }
            _ if !event.is_serialized() => gst::Pad::event_default(pad, Some(&*self.obj()), event),
            view => {
                match view {
                    gst::EventView::Segment(_) => {
                        lock(&self.stream).segment = Some(event.clone());
                    }
                    gst::EventView::StreamStart(_) => self.begin_anew(&line),
                    gst::EventView::Eos(_) => lock(&self.stream).eos = true,
                    _ => (),
                }
                line.put_result(Item::Event(event)).is_ok()
            }
        }
    }

    /// A stream after one that has ended.
    fn begin_anew(&self, line: &Pictures) {
        let mut stream = lock(&self.stream);
        stream.eos = false;
        if stream.flow == Err(gst::FlowError::Eos) {
            stream.flow = Ok(gst::FlowSuccess::Ok);
            drop(stream);
            line.start();
            self.start_task();
        }
    }

    fn caps_arrived(&self, caps: gst::Caps) -> bool {
        let encoder_pad = lock(&self.state).encoder_pad.clone();
        if encoder_pad.is_some_and(|pad| !pad.query_accept_caps(&caps)) {
            return false;
        }
        let framerate = caps
            .structure(0)
            .and_then(|structure| structure.get::<gst::Fraction>("framerate").ok())
            .filter(|rate| rate.numer() > 0);
        let frame_time = framerate.and_then(|rate| {
            gst::ClockTime::SECOND.mul_div_floor(rate.denom() as u64, rate.numer() as u64)
        });
        let mut stream = lock(&self.stream);
        stream.caps = Some(caps);
        let before = std::mem::replace(&mut stream.frame_time, frame_time.unwrap_or_default());
        let changed = before != stream.frame_time;
        drop(stream);
        if changed {
            let obj = self.obj();
            let _ = obj.post_message(gst::message::Latency::builder().src(&*obj).build());
        }
        true
    }

    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.type_() {
            gst::QueryType::Caps | gst::QueryType::AcceptCaps => {
                let encoder_pad = lock(&self.state).encoder_pad.clone();
                match encoder_pad {
                    Some(encoder) => encoder.query(query),
                    // What the template says: there is no encoder yet.
                    None => gst::Pad::query_default(pad, Some(&*self.obj()), query),
                }
            }
            // What downstream wants of buffers concerns what comes out of the encoders.
            gst::QueryType::Allocation => false,
            _ => {
                let line = lock(&self.line).clone();
                if query.is_serialized() && line.drain().is_err() {
                    return false;
                }
                gst::Pad::query_default(pad, Some(&*self.obj()), query)
            }
        }
    }

    fn src_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        let gst::QueryViewMut::Latency(latency) = query.view_mut() else {
            return gst::Pad::query_default(pad, Some(&*self.obj()), query);
        };
        let mut upstream = gst::query::Latency::new();
        if !self.sink.peer_query(&mut upstream) {
            return false;
        }
        let (live, min, max) = upstream.result();
        // While one picture is encoded the others come in.
        let threads = lock(&self.settings).threads() as u64;
        let ours = lock(&self.stream).frame_time * threads;
        latency.set(live, min + ours, max.map(|max| max + ours));
        true
    }

    fn activate_src(
        &self,
        pad: &gst::Pad,
        mode: gst::PadMode,
        active: bool,
    ) -> Result<(), gst::LoggableError> {
        if mode != gst::PadMode::Push {
            return Err(gst::loggable_error!(CAT, "only push mode is there"));
        }
        let line = lock(&self.line).clone();
        if active {
            line.start();
            if self.start_task() {
                Ok(())
            } else {
                Err(gst::loggable_error!(CAT, "the task does not start"))
            }
        } else {
            line.stop();
            pad.stop_task()
                .map_err(|_| gst::loggable_error!(CAT, "the task does not stop"))
        }
    }

    fn start_task(&self) -> bool {
        let this = self.downgrade();
        self.src
            .start_task(move || {
                if let Some(this) = this.upgrade() {
                    this.carry_away();
                }
            })
            .is_ok()
    }

    /// Pushes the next in order; in the source pad's thread, again and again.
    fn carry_away(&self) {
        let line = lock(&self.line).clone();
        let flow = match line.next() {
            Ok(Item::Picture(Ok(encoded))) => self.push(encoded),
            Ok(Item::Picture(Err(err))) => Err(self.refuse(err)),
            Ok(Item::Event(event)) => {
                self.pass_on(event);
                Ok(gst::FlowSuccess::Ok)
            }
            Err(_) => Err(gst::FlowError::Flushing),
        };
        let Err(flow) = flow else { return };
        gst::debug!(CAT, imp = self, "Pausing: {flow:?}");
        let _ = self.src.pause_task();
        if flow == gst::FlowError::Flushing {
            return;
        }
        let told = {
            let mut stream = lock(&self.stream);
            stream.flow = Err(flow);
            !stream.eos
        };
        line.stop();
        match flow {
            gst::FlowError::Eos => return,
            // Whoever returned it has posted the reason.
            gst::FlowError::Error if !self.src.has_current_caps() => return,
            gst::FlowError::Error => {}
            // Upstream learns of it with its next picture, if it has one.
            _ if told => return,
            _ => gst::element_imp_error!(
                self,
                gst::StreamError::Failed,
                ("Pictures cannot be passed on: {flow:?}")
            ),
        }
        self.src.push_event(gst::event::Eos::new());
    }

    fn pass_on(&self, event: gst::Event) {
        let early = !matches!(
            event.type_(),
            gst::EventType::StreamStart | gst::EventType::Eos
        );
        if early && !self.src.has_current_caps() {
            lock(&self.stream).held.push(event);
            return;
        }
        // Before the end there is still what no picture came for.
        self.release();
        self.src.push_event(event);
    }

    fn release(&self) {
        let held = std::mem::take(&mut lock(&self.stream).held);
        for event in held {
            self.src.push_event(event);
        }
    }

    fn push(&self, encoded: Encoded) -> Result<gst::FlowSuccess, gst::FlowError> {
        if let Some(caps) = encoded.caps
            && self.src.current_caps().as_ref() != Some(&caps)
            && !self.src.push_event(gst::event::Caps::new(&caps))
        {
            return Err(gst::FlowError::NotNegotiated);
        }
        self.release();
        self.src.push(encoded.buffer)
    }

    fn refuse(&self, err: LaneError) -> gst::FlowError {
        if let LaneError::Flow(flow) = err {
            return flow;
        }
        let encoder = lock(&self.settings).encoder().to_owned();
        gst::element_imp_error!(
            self,
            gst::StreamError::Encode,
            ("{encoder} cannot be used on several cores: {err}")
        );
        gst::FlowError::Error
    }
}
