// SPDX-License-Identifier: MIT OR Apache-2.0
//! The subclass: properties, pad templates, states. See the [module](super).

use std::sync::{Arc, LazyLock, Mutex};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::caps;
use super::settings::Settings;
use super::sinks::Sinks;
use crate::fixed_caps;
use crate::streams::Profile;
use crate::streams::upstream::Upstream;
use crate::sync::lock;

#[derive(Debug, glib::Properties)]
#[properties(wrapper_type = super::AviMjpegMux)]
pub struct AviMjpegMux {
    src: gst::Pad,
    #[property(
        name = "profile", type = Profile, get, set, member = profile,
        default, nick = "Profile", mutable_ready,
        blurb = "Whom the file is for: any player, or MaixPy's player on the K210 as well, \
                 whose limits are then kept (default: standard)"
    )]
    #[property(
        name = "checkpoint-interval", type = u64, get, set, member = checkpoint_interval,
        nick = "Checkpoint interval", default = Settings::CHECKPOINT_INTERVAL, mutable_ready,
        blurb = "Time between two checkpoints, in nanoseconds of stream time; at each \
                 the file is brought up to date in place, if the sink can seek; no more \
                 than 25 in a second of real time, but for the first 32 (0: never; \
                 default: 1 s)"
    )]
    #[property(
        name = "big-file", type = bool, get, set, member = big_file,
        nick = "Big file", default = true, mutable_ready,
        blurb = "Whether to write OpenDML indexes and files beyond 2 GiB; without them, \
                 and in the k210 profile, the file ends there (default: true)"
    )]
    settings: Arc<Mutex<Settings>>,
    sinks: Sinks,
}

/// The name of the property whose type the derive macro does not know.
const STATS: &str = "stats";

impl AviMjpegMux {
    /// What a pad's function does, or `fallback` once one has panicked.
    fn guarded<T>(parent: Option<&gst::Object>, fallback: T, act: impl FnOnce(&Self) -> T) -> T {
        Self::catch_panic_pad_function(parent, || fallback, act)
    }

    fn stats(&self) -> gst::Structure {
        let stats = self.sinks.recorder.stats();
        gst::Structure::builder("avimjpegmux-stats")
            .field("frames", stats.frames)
            .field("repeated", stats.repeated)
            .field("missing", stats.missing)
            .field("dropped", stats.dropped)
            .field("displaced", stats.displaced)
            .field("silence", stats.silence)
            .field("skipped", stats.skipped)
            .field("bytes", stats.bytes)
            .field("checkpoints", stats.checkpoints)
            .build()
    }

    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        match query.view_mut() {
            gst::QueryViewMut::Caps(caps) => {
                caps.set_result(&self.accepted(pad, caps.filter_owned()));
                true
            }
            gst::QueryViewMut::AcceptCaps(query) => {
                // What the profile does not take gets as far as the caps event, where it is refused
                // with a sentence and not with upstream's "Internal data stream error".
                let accepts = match self.is_started() {
                    true => pad.pad_template_caps(),
                    false => self.takes(pad),
                };
                query.set_result(query.caps().can_intersect(&accepts));
                true
            }
            _ => gst::Pad::query_default(pad, Some(&*self.obj()), query),
        }
    }

    fn is_started(&self) -> bool {
        self.obj().current_state() >= gst::State::Paused
    }

    /// The caps that a pad takes.
    fn takes(&self, pad: &gst::Pad) -> gst::Caps {
        if caps::is_video(pad) {
            caps::video_template()
        } else {
            caps::audio_template(lock(&self.settings).profile)
        }
    }

    /// What upstream may choose of the caps in `filter`.
    fn accepted(&self, pad: &gst::Pad, filter: Option<gst::Caps>) -> gst::Caps {
        let within = |takes: &gst::Caps| match &filter {
            Some(filter) => filter.intersect_with_mode(takes, gst::CapsIntersectMode::First),
            None => takes.clone(),
        };
        // Elements that could not be linked, or upstream that has nothing else to offer, would not let
        // the caps event say what is wrong with that.
        match within(&self.takes(pad)) {
            some if self.is_started() && !some.is_empty() => some,
            _ => within(&pad.pad_template_caps()),
        }
    }

    fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        if let gst::EventView::Seek(_) = event.view() {
            // A muxer cannot go back in what it has written.
            return false;
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }
}

#[glib::object_subclass]
impl ObjectSubclass for AviMjpegMux {
    const NAME: &'static str = "GstAviMjpegMux";
    type Type = super::AviMjpegMux;
    type ParentType = gst::Element;
    type Interfaces = (gst::TagSetter,);

    #[expect(clippy::expect_used, reason = "the class has the template")]
    fn with_class(class: &Self::Class) -> Self {
        let template = class
            .pad_template("src")
            .expect("the template is in the class");
        let src = gst::Pad::builder_from_template(&template)
            .event_function(|pad, parent, event| {
                Self::guarded(parent, false, |mux| mux.src_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::guarded(parent, false, |_| fixed_caps::query(pad, parent, query))
            })
            .build();
        let settings = Arc::<Mutex<Settings>>::default();
        Self {
            sinks: Sinks::new(src.clone(), settings.clone()),
            src,
            settings,
        }
    }
}

impl ObjectImpl for AviMjpegMux {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let stats = glib::ParamSpecBoxed::builder::<gst::Structure>(STATS)
                .nick("Statistics")
                .blurb(
                    "What was written: frames, repeated, missing and dropped ones, those shown later \
                     than their time (displaced), samples of silence and skipped ones, bytes of \
                     the file, checkpoints (all guint64)",
                )
                .read_only()
                .build();
            [AviMjpegMux::derived_properties(), &[stats]].concat()
        });
        &PROPERTIES
    }

    fn set_property(&self, id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.derived_set_property(id, value, pspec);
    }

    fn property(&self, id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if pspec.name() == STATS {
            return self.stats().to_value();
        }
        self.derived_property(id, pspec)
    }

    fn constructed(&self) {
        self.parent_constructed();
        let added = self.obj().add_pad(&self.src);
        debug_assert!(added.is_ok(), "a new element has no pad of that name");
    }
}

impl GstObjectImpl for AviMjpegMux {}

impl TagSetterImpl for AviMjpegMux {}

impl ElementImpl for AviMjpegMux {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Motion JPEG AVI muxer",
                "Codec/Muxer",
                "Puts Motion JPEG and PCM into an AVI file that survives a power cut, and plays on \
                 a K210 with profile=k210",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            use gst::{PadDirection as Direction, PadPresence as Presence};
            let sound = caps::audio_template(Profile::Standard);
            let file = gst::Caps::new_empty_simple("video/x-msvideo");
            [
                (
                    "video_%u",
                    Direction::Sink,
                    Presence::Request,
                    caps::video_template(),
                ),
                ("audio_%u", Direction::Sink, Presence::Request, sound),
                ("src", Direction::Src, Presence::Always, file),
            ]
            .into_iter()
            .filter_map(|(name, direction, presence, caps)| {
                gst::PadTemplate::new(name, direction, presence, &caps).ok()
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
        let is_video = template.name_template() == "video_%u";
        let upstream = Arc::<Upstream>::default();
        let for_events = upstream.clone();
        let pad = gst::Pad::builder_from_template(template)
            .name(self.sinks.name_for(is_video, name)?)
            .chain_function(move |pad, parent, buffer| {
                Self::guarded(parent, Err(gst::FlowError::Error), |mux| {
                    mux.sinks.chain(pad, &upstream, buffer)
                })
            })
            .event_function(move |pad, parent, event| {
                Self::guarded(parent, false, |mux| {
                    mux.sinks.event(pad, &for_events, event)
                })
            })
            .query_function(|pad, parent, query| {
                Self::guarded(parent, false, |mux| mux.sink_query(pad, query))
            })
            .build();
        self.sinks.recorder.add(pad.clone(), is_video);
        // Pads of an element that runs have to be active before they are seen.
        let _ = pad.set_active(true);
        self.obj().add_pad(&pad).ok()?;
        Some(pad)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        let _ = pad.set_active(false);
        self.sinks.recorder.remove(pad);
        let _ = self.obj().remove_pad(pad);
        self.sinks.recorder.go_on();
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => {
                self.sinks.reset();
                self.sinks.recorder.reset_stats();
            }
            gst::StateChange::PausedToReady => self.sinks.recorder.stop_waiting(),
            _ => {}
        }
        let result = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            self.sinks.reset();
        }
        Ok(result)
    }
}
