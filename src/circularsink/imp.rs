// SPDX-License-Identifier: MIT OR Apache-2.0

use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::context::{Context, REFUSED, upstream_latency};
use super::input::{self, Input};
use super::settings::{PROPERTIES, Settings};
use super::target::{self, TargetError};
use super::writer::{self, Writer};
use crate::streams::bin::{be_a_sink, guarded};
use crate::streams::files;
use crate::sync::lock;

/// The element. The lock of `inputs` is taken before those of the context.
#[derive(Debug, Default)]
pub struct CircularSink {
    context: Arc<Context>,
    /// The pads and their streams' state; written when pads come and go.
    inputs: Mutex<Vec<(gst::Pad, Arc<Input>)>>,
}

impl CircularSink {
    fn add_input(&self, template: &gst::PadTemplate, name: &str) -> Option<gst::Pad> {
        let input = Arc::new(Input::new(name));
        let pad = self.new_pad(template, &input);
        lock(&self.inputs).push((pad.clone(), input));
        if self.obj().current_state() >= gst::State::Paused
            && let Err(error) = pad.set_active(true)
        {
            gst::warning!(CAT, imp = self, "Can't activate {name}: {error}");
        }
        self.obj().add_pad(&pad).ok()?;
        Some(pad)
    }

    fn new_pad(&self, template: &gst::PadTemplate, input: &Arc<Input>) -> gst::Pad {
        let for_chain = input.clone();
        let for_events = input.clone();
        gst::Pad::builder_from_template(template)
            .name(input.name())
            .chain_function(move |pad, parent, buffer| {
                CircularSink::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |imp| for_chain.chain(&imp.context, pad, buffer),
                )
            })
            .event_function(move |pad, parent, event| {
                CircularSink::catch_panic_pad_function(
                    parent,
                    || false,
                    |imp| for_events.event(&imp.context, pad, &event),
                )
            })
            .build()
    }

    fn linked_pads(&self) -> Vec<gst::Pad> {
        let inputs = lock(&self.inputs);
        let pads = inputs.iter().map(|(pad, _)| pad.clone());
        pads.filter(|pad| pad.is_linked()).collect()
    }

    /// Checks what would keep the element from working, and begins with an empty ring.
    fn start(&self) -> Result<(), gst::StateChangeError> {
        let settings = lock(&self.context.settings).clone();
        let limits = settings.limits();
        if limits.max_time == 0 && limits.max_bytes == 0 && limits.max_buffers == 0 {
            gst::element_imp_error!(
                self,
                gst::ResourceError::Settings,
                ("Set one of max-time, max-bytes and max-buffers: without a limit the memory would fill up")
            );
            return Err(gst::StateChangeError);
        }
        self.check(&settings)?;
        self.preload(&settings);
        let shared = self.context.start();
        for (pad, input) in lock(&self.inputs).iter() {
            input.reset();
            if pad.is_linked() {
                input.join(&shared, true);
            }
        }
        self.context.gate.set(false, false);
        self.context.switch();
        Ok(())
    }

    /// Says what would make every recording fail.
    fn check(&self, settings: &Settings) -> Result<(), gst::StateChangeError> {
        let order = settings.order(0, None);
        let wrong = match (target::check(&order), writer::check(&order)) {
            (Err(TargetError::Create(error)), _) => {
                gst::error_msg!(gst::ResourceError::OpenWrite, ("location: {error}"))
            }
            (Err(error), _) => gst::error_msg!(gst::ResourceError::Settings, ("location: {error}")),
            (_, Err(error)) => error.message(),
            (Ok(()), Ok(())) => {
                if let Some(why) = target::taken(&order) {
                    gst::element_imp_warning!(
                        self,
                        gst::ResourceError::OpenWrite,
                        (
                            "{why}, a recording of that name fails; {}",
                            files::PASSED_OVER
                        )
                    );
                }
                return Ok(());
            }
        };
        self.post_error_message(wrong);
        Err(gst::StateChangeError)
    }

    /// Loads the plugins of the usual elements, so that the first recording starts as fast as any.
    fn preload(&self, settings: &Settings) {
        let order = settings.order(0, None);
        let writer = Writer::of(order.pattern.as_deref(), order.muxer.as_deref(), &[]);
        let muxer = match writer {
            Ok(Writer::Muxer(name)) => Some(name),
            _ => None,
        };
        let sink = order.sink.as_deref().unwrap_or("filesink");
        for name in muxer.as_deref().into_iter().chain([sink]) {
            if let Some(factory) = gst::ElementFactory::find(name)
                && factory.load().is_err()
            {
                gst::warning!(CAT, imp = self, "Can't load the plugin of {name}");
            }
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for CircularSink {
    const NAME: &'static str = "GstCircularSink";
    type Type = super::CircularSink;
    type ParentType = gst::Bin;
    type Interfaces = (gst::TagSetter,);
}

impl ObjectImpl for CircularSink {
    fn properties() -> &'static [glib::ParamSpec] {
        PROPERTIES.specs()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        PROPERTIES.set(&self.context.settings, pspec, value);
        match pspec.name() {
            "recording" => self.context.switch(),
            "max-time" | "max-bytes" | "max-buffers" => self.context.set_limits(),
            _ => (),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "level-time" => self.context.level().time.to_value(),
            "level-bytes" => self.context.level().bytes.to_value(),
            "stats" => self.context.stats().to_value(),
            _ => PROPERTIES.get(&self.context.settings, pspec),
        }
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        static SIGNALS: LazyLock<Vec<glib::subclass::Signal>> = LazyLock::new(|| {
            vec![
                // Starts a recording of the location, or of the property's if it is NULL, and
                // returns its number. A running recording that a trigger without a location
                // started is extended instead; with split-on-trigger it is succeeded.
                // Returns G_MAXUINT when the element is not at least PAUSED, and when max-recordings
                // are open: a message circularsink-recording-failed says so.
                glib::subclass::Signal::builder("trigger")
                    .action()
                    .param_types([String::static_type()])
                    .return_type::<u32>()
                    .class_handler(|args| {
                        let element = args[0].get::<super::CircularSink>().ok()?;
                        let location = args[1].get::<Option<String>>().ok().flatten();
                        let context = &element.imp().context;
                        let trigger = || context.trigger(location, None, false);
                        Some(guarded(&element, REFUSED, trigger).to_value())
                    })
                    .build(),
                // Ends all recordings with what has arrived.
                glib::subclass::Signal::builder("finish")
                    .action()
                    .class_handler(|args| {
                        if let Ok(element) = args[0].get::<super::CircularSink>() {
                            guarded(&element, (), || element.imp().context.finish());
                        }
                        None
                    })
                    .build(),
                // Has a file stay whatever max-files, max-total-bytes and min-free-bytes say, until
                // it is unpinned; NULL: the recordings that are open. Returns whether there was one.
                glib::subclass::Signal::builder("pin")
                    .action()
                    .param_types([Option::<String>::static_type()])
                    .return_type::<bool>()
                    .class_handler(|args| {
                        let element = args[0].get::<super::CircularSink>().ok()?;
                        let location = args[1].get::<Option<String>>().ok().flatten();
                        let context = &element.imp().context;
                        let pin = || match &location {
                            Some(location) => context.pin(location.as_ref()),
                            None => context.pin_recordings(|_| true),
                        };
                        Some(guarded(&element, false, pin).to_value())
                    })
                    .build(),
                // Undoes pin(location). Returns whether the file is there.
                glib::subclass::Signal::builder("unpin")
                    .action()
                    .param_types([String::static_type()])
                    .return_type::<bool>()
                    .class_handler(|args| {
                        let element = args[0].get::<super::CircularSink>().ok()?;
                        let location = args[1].get::<Option<String>>().ok().flatten()?;
                        let context = &element.imp().context;
                        let unpin = || context.unpin(location.as_ref());
                        Some(guarded(&element, false, unpin).to_value())
                    })
                    .build(),
                // Asks for the name of a recording: its number, its first buffer with its caps.
                // Emitted from the recording's thread; NULL leaves the choice to the properties.
                glib::subclass::Signal::builder("format-location")
                    .param_types([u32::static_type(), gst::Sample::static_type()])
                    .return_type::<Option<String>>()
                    .build(),
            ]
        });
        &SIGNALS
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        self.context.element.set(Some(obj.upcast_ref::<gst::Bin>()));
        be_a_sink(&*obj);
        if let Some(template) = obj.pad_template("video") {
            self.add_input(&template, "video");
        }
    }
}

impl GstObjectImpl for CircularSink {}

impl ElementImpl for CircularSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Circular recorder",
                "Generic/Bin/Sink",
                "Records video and sound from before a trigger",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            // The pad "video" exists from the beginning; that it can be requested too serves
            // applications written for splitmuxsink.
            [
                ("video", input::video_caps()),
                ("audio_%u", input::audio_caps()),
            ]
            .into_iter()
            .filter_map(|(name, caps)| {
                let (sink, request) = (gst::PadDirection::Sink, gst::PadPresence::Request);
                gst::PadTemplate::new(name, sink, request, &caps).ok()
            })
            .collect()
        });
        &TEMPLATES
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        if template.name_template() == "video" {
            let pad = self.obj().static_pad("video")?;
            return (!pad.is_linked()).then_some(pad);
        }
        let taken = |name: &str| self.obj().static_pad(name).is_some();
        let name = match name {
            Some(name) if !taken(name) => name.to_owned(),
            Some(name) => {
                gst::warning!(CAT, imp = self, "There is a pad '{name}' already");
                return None;
            }
            None => (0..)
                .map(|number| format!("audio_{number}"))
                .find(|name| !taken(name))?,
        };
        self.add_input(template, &name)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        if pad.name() == "video" {
            return;
        }
        let input = {
            let mut inputs = lock(&self.inputs);
            let at = inputs.iter().position(|(p, _)| p == pad);
            at.map(|at| inputs.remove(at).1)
        };
        if let Err(error) = pad.set_active(false) {
            gst::warning!(CAT, imp = self, "Can't deactivate {}: {error}", pad.name());
        }
        if let Some(input) = input {
            input.leave();
        }
        if let Err(error) = self.obj().remove_pad(pad) {
            gst::warning!(CAT, imp = self, "Can't remove {}: {error}", pad.name());
        }
        self.context.check_end();
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => self.start()?,
            gst::StateChange::PausedToPlaying => self.context.gate.set(true, false),
            gst::StateChange::PlayingToPaused => self.context.gate.set(false, false),
            gst::StateChange::PausedToReady => self.context.stop(),
            _ => (),
        }
        let result = self.parent_change_state(transition);
        if transition == gst::StateChange::PausedToReady {
            self.context.forget();
            for (_, input) in lock(&self.inputs).iter() {
                input.reset();
            }
        }
        result
    }

    fn send_event(&self, event: gst::Event) -> bool {
        if self.context.trigger_by_event(event.structure(), false) {
            return true;
        }
        // The recordings inside are none of the application's: what goes upstream goes through
        // the pads.
        let mut sent = false;
        if event.is_upstream() {
            for pad in self.linked_pads() {
                sent |= pad.push_event(event.clone());
            }
        }
        sent
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        use gst::QueryViewMut;
        match query.view_mut() {
            QueryViewMut::Latency(latency) => {
                // The streams are not synchronised to the clock: their latency is upstream's.
                let (live, min, max) = upstream_latency(&self.linked_pads()).unwrap_or((
                    false,
                    gst::ClockTime::ZERO,
                    None,
                ));
                latency.set(live, min, max);
                true
            }
            QueryViewMut::Position(position) if position.format() == gst::Format::Time => {
                let newest = self.context.shared().and_then(|s| s.lock().ring.newest());
                let Some(newest) = newest.and_then(|time| u64::try_from(time).ok()) else {
                    return false;
                };
                position.set(gst::ClockTime::from_nseconds(newest));
                true
            }
            _ => self.linked_pads().iter().any(|pad| pad.peer_query(query)),
        }
    }
}

impl BinImpl for CircularSink {
    fn handle_message(&self, message: gst::Message) {
        if let Some(message) = self.context.take_message(message) {
            self.parent_handle_message(message);
        }
    }
}

impl TagSetterImpl for CircularSink {}
