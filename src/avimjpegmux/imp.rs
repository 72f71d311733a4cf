// SPDX-License-Identifier: MIT OR Apache-2.0
//! The element: its pads, events and properties. See the [module](super).

use std::sync::{Condvar, LazyLock, Mutex};
use std::time::Instant;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::Profile;
use super::caps;
use super::queue::{Item, SinkPad, State};
use super::session::Stats;
use crate::sync::lock;
use avi_mjpeg::writer::MAX_STREAMS;

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "avimjpegmux",
        gst::DebugColorFlags::empty(),
        Some("Motion JPEG AVI muxer"),
    )
});

const DEFAULT_CHECKPOINT_INTERVAL: gst::ClockTime = gst::ClockTime::SECOND;

/// What the user set.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub profile: Profile,
    pub checkpoint_interval: gst::ClockTime,
    pub big_file: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            checkpoint_interval: DEFAULT_CHECKPOINT_INTERVAL,
            big_file: true,
        }
    }
}

#[derive(Debug)]
pub struct AviMjpegMux {
    pub(super) src: gst::Pad,
    pub(super) settings: Mutex<Settings>,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
}

impl AviMjpegMux {
    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;

        gst::log!(CAT, obj = pad, "{event:?}");
        match event.view() {
            EventView::Caps(caps) => self.set_caps(pad, &caps.caps_owned()),
            EventView::Segment(segment) => {
                let segment = segment.segment();
                // Pictures from files (multifilesrc) have timestamps, but a segment in bytes.
                let segment = segment.downcast_ref::<gst::ClockTime>().cloned();
                let segment = segment.unwrap_or_else(|| {
                    gst::info!(
                        CAT,
                        obj = pad,
                        "the segment is not in time: taken for a whole one"
                    );
                    gst::FormattedSegment::new()
                });
                self.with_pad(pad, |sink| sink.segment = Some(segment));
                true
            }
            EventView::Tag(tag) => {
                let mut state = lock(&self.state);
                // What is said of the whole may be said anew; a stream only adds to it.
                let mode = match tag.tag().scope() {
                    gst::TagScope::Global => gst::TagMergeMode::Replace,
                    _ => gst::TagMergeMode::Keep,
                };
                state.tags = state.tags.merge(tag.tag(), mode);
                state.tags_are_new = state.started;
                true
            }
            EventView::Gap(gap) => {
                let (start, duration) = gap.get();
                let end = start + duration.unwrap_or_default();
                self.with_pad(pad, |sink| {
                    let time = sink.segment.as_ref().and_then(|s| s.to_running_time(end));
                    let time = time.map_or(0, |time| time.nseconds() as i64);
                    sink.gap = sink.gap.max(time);
                    sink.heard = Instant::now();
                });
                let _ = self.drain(lock(&self.state));
                true
            }
            EventView::Eos(_) => {
                self.with_pad(pad, |sink| sink.eos = true);
                let (state, _) = self.drain(lock(&self.state));
                self.changed.notify_all();
                state.failed.is_none()
            }
            EventView::FlushStart(_) => {
                self.with_pad(pad, |sink| sink.flushing = true);
                self.changed.notify_all();
                self.src.push_event(event)
            }
            EventView::FlushStop(_) => {
                // Downstream forgets what it has of the file, so the next one begins anew.
                let mut state = self.wait_until_idle(lock(&self.state));
                if let Some(sink) = state.pads.iter_mut().find(|sink| sink.pad == *pad) {
                    sink.reset();
                }
                for sink in &mut state.pads {
                    sink.stream = None;
                }
                state.session = None;
                state.started = false;
                state.finished = false;
                state.failed = None;
                drop(state);
                self.src.push_event(event)
            }
            EventView::CustomDownstream(_) | EventView::CustomDownstreamSticky(_) => {
                self.with_pad(pad, |sink| sink.queue.push_back(Item::Event(event.clone())));
                let _ = self.drain(lock(&self.state));
                true
            }
            EventView::CustomDownstreamOob(_) | EventView::CustomBothOob(_) => {
                self.src.push_event(event)
            }
            EventView::CustomBoth(_) => {
                self.with_pad(pad, |sink| sink.queue.push_back(Item::Event(event.clone())));
                let _ = self.drain(lock(&self.state));
                true
            }
            // What else there is tells of one stream, not of a file of them.
            _ => true,
        }
    }

    fn with_pad(&self, pad: &gst::Pad, change: impl FnOnce(&mut SinkPad)) {
        let mut state = lock(&self.state);
        if let Some(sink) = state.pads.iter_mut().find(|sink| sink.pad == *pad) {
            change(sink);
        }
    }

    fn set_caps(&self, pad: &gst::Pad, caps: &gst::Caps) -> bool {
        gst::debug!(CAT, obj = pad, "caps {caps}");
        let is_video = is_video(pad);
        let format = if is_video {
            caps::video_format(caps)
        } else {
            caps::audio_format(caps)
        };
        let format = match format {
            Ok(format) => format,
            Err(error) => {
                gst::element_imp_error!(
                    self,
                    gst::StreamError::Format,
                    ("Pad {}: {error}.", pad.name())
                );
                return false;
            }
        };
        let profile = lock(&self.settings).profile;
        if !is_video && !caps.is_subset(&caps::audio_template(profile)) {
            gst::element_imp_error!(
                self,
                gst::StreamError::Format,
                ("The K210 plays sound of one or two channels in S16LE only; convert {caps} with \
                  audioconvert.")
            );
            return false;
        }
        let mut state = lock(&self.state);
        let Some(sink) = state.pads.iter_mut().find(|sink| sink.pad == *pad) else {
            return false;
        };
        let in_use = sink.stream.is_some() || !sink.queue.is_empty();
        if let (Some(old), true) = (sink.format, in_use) {
            if old.continues(&format) {
                return true;
            }
            drop(state);
            gst::element_imp_error!(
                self,
                gst::StreamError::Format,
                (
                    "The format of pad {} changed to {caps}; a stream of an AVI file has one \
                     format. Convert it to the first, or begin another file.",
                    pad.name()
                )
            );
            return false;
        }
        sink.format = Some(format);
        sink.heard = Instant::now();
        true
    }

    fn sink_query(&self, pad: &gst::Pad, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Caps(caps) = query.view_mut() {
            let profile = lock(&self.settings).profile;
            let accepted = if is_video(pad) {
                caps::video_template()
            } else {
                caps::audio_template(profile)
            };
            let accepted = match caps.filter() {
                Some(filter) => {
                    filter.intersect_with_mode(&accepted, gst::CapsIntersectMode::First)
                }
                None => accepted,
            };
            caps.set_result(&accepted);
            return true;
        }
        gst::Pad::query_default(pad, Some(&*self.obj()), query)
    }

    fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        if let gst::EventView::Seek(_) = event.view() {
            // What is written is written.
            return false;
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    /// Forgets the file and all that waits.
    fn reset(&self) {
        let mut state = lock(&self.state);
        for sink in &mut state.pads {
            sink.reset();
            sink.format = None;
        }
        *state = State {
            pads: std::mem::take(&mut state.pads),
            stats: state.stats,
            waiting: state.waiting,
            settings: lock(&self.settings).clone(),
            ..State::default()
        };
    }
}

fn is_video(pad: &gst::Pad) -> bool {
    pad.pad_template()
        .is_some_and(|template| template.name_template() == "video_%u")
}

#[glib::object_subclass]
impl ObjectSubclass for AviMjpegMux {
    const NAME: &'static str = "GstAviMjpegMux";
    type Type = super::AviMjpegMux;
    type ParentType = gst::Element;
    type Interfaces = (gst::TagSetter,);

    fn with_class(class: &Self::Class) -> Self {
        let template = class
            .pad_template("src")
            .expect("the template is in the class");
        let src = gst::Pad::builder_from_template(&template)
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |mux| mux.src_event(pad, event))
            })
            .flags(gst::PadFlags::FIXED_CAPS)
            .build();
        Self {
            src,
            settings: Mutex::default(),
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }
}

impl ObjectImpl for AviMjpegMux {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecEnum::builder_with_default("profile", Profile::default())
                    .nick("Profile")
                    .blurb(
                        "Whom the file is for: any player, or MaixPy's player on the K210 as well, \
                         whose limits are then kept (default: standard)",
                    )
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("checkpoint-interval")
                    .nick("Checkpoint interval")
                    .blurb(
                        "Time between two checkpoints, in nanoseconds of stream time; at each \
                         the file is brought up to date in place, if the sink can seek; no more \
                         than 25 in a second of real time, but for the first 32 (0: never; \
                         default: 1 s)",
                    )
                    .default_value(DEFAULT_CHECKPOINT_INTERVAL.nseconds())
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoolean::builder("big-file")
                    .nick("Big file")
                    .blurb(
                        "Whether to write OpenDML indexes and files beyond 2 GiB; without them, \
                         and in the k210 profile, the file ends there (default: true)",
                    )
                    .default_value(true)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb(
                        "What was written: frames, repeated, missing and dropped ones, samples of \
                         silence and skipped ones, bytes of the file, checkpoints (all guint64)",
                    )
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        match pspec.name() {
            "profile" => settings.profile = value.get().expect("checked by GObject"),
            "checkpoint-interval" => {
                settings.checkpoint_interval = gst::ClockTime::from_nseconds(
                    value
                        .get::<u64>()
                        .expect("checked by GObject")
                        .min(u64::MAX - 1),
                );
            }
            "big-file" => settings.big_file = value.get().expect("checked by GObject"),
            _ => {}
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = lock(&self.settings);
        match pspec.name() {
            "profile" => settings.profile.to_value(),
            "checkpoint-interval" => settings.checkpoint_interval.nseconds().to_value(),
            "big-file" => settings.big_file.to_value(),
            "stats" => {
                drop(settings);
                let stats = lock(&self.state).stats;
                gst::Structure::builder("avimjpegmux-stats")
                    .field("frames", stats.frames)
                    .field("repeated", stats.repeated)
                    .field("missing", stats.missing)
                    .field("dropped", stats.dropped)
                    .field("silence", stats.silence)
                    .field("skipped", stats.skipped)
                    .field("bytes", stats.bytes)
                    .field("checkpoints", stats.checkpoints)
                    .build()
                    .to_value()
            }
            _ => pspec.default_value().clone(),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        self.obj()
            .add_pad(&self.src)
            .expect("a new element has no pad of that name");
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
            let template = |name, direction, presence, caps: &gst::Caps| {
                gst::PadTemplate::new(name, direction, presence, caps).expect("valid caps")
            };
            vec![
                template(
                    "video_%u",
                    gst::PadDirection::Sink,
                    gst::PadPresence::Request,
                    &caps::video_template(),
                ),
                template(
                    "audio_%u",
                    gst::PadDirection::Sink,
                    gst::PadPresence::Request,
                    &caps::audio_template(Profile::Standard),
                ),
                template(
                    "src",
                    gst::PadDirection::Src,
                    gst::PadPresence::Always,
                    &gst::Caps::builder("video/x-msvideo").build(),
                ),
            ]
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
        let profile = lock(&self.settings).profile;
        let mut state = lock(&self.state);
        let same = state
            .pads
            .iter()
            .filter(|sink| sink.is_video == is_video)
            .count();
        if state.pads.len() >= MAX_STREAMS || (profile == Profile::K210 && same > 0) {
            gst::warning!(
                CAT,
                imp = self,
                "no further pad: the file has all it can have"
            );
            return None;
        }
        if state.started {
            gst::warning!(CAT, imp = self, "no further pad: the file is begun");
            return None;
        }
        let kind = if is_video { "video" } else { "audio" };
        let taken =
            |state: &State, name: &str| state.pads.iter().any(|sink| sink.pad.name() == name);
        let name = match name.filter(|name| !name.contains('%')) {
            Some(name) => {
                let digits = name.strip_prefix(kind)?.strip_prefix('_')?;
                if digits.parse::<u32>().is_err() || taken(&state, name) {
                    return None;
                }
                name.to_owned()
            }
            None => (0..)
                .map(|n: u32| format!("{kind}_{n}"))
                .find(|name| !taken(&state, name))?,
        };
        let pad = gst::Pad::builder_from_template(template)
            .name(name)
            .chain_function(|pad, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |mux| mux.chain(pad, buffer),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |mux| mux.sink_event(pad, event))
            })
            .query_function(|pad, parent, query| {
                Self::catch_panic_pad_function(parent, || false, |mux| mux.sink_query(pad, query))
            })
            .build();
        state.pads.push(SinkPad::new(pad.clone(), is_video));
        drop(state);
        // Pads of an element that runs have to be active before they are seen.
        let _ = pad.set_active(true);
        self.obj().add_pad(&pad).ok()?;
        Some(pad)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        let _ = pad.set_active(false);
        lock(&self.state).pads.retain(|sink| sink.pad != *pad);
        let _ = self.obj().remove_pad(pad);
        self.changed.notify_all();
        // What waited for this pad need not any more.
        let _ = self.drain(lock(&self.state));
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => {
                self.reset();
                lock(&self.state).stats = Stats::default();
            }
            gst::StateChange::PausedToReady => {
                // Threads that wait must not, or the pads could not be deactivated.
                let mut state = lock(&self.state);
                for sink in &mut state.pads {
                    sink.flushing = true;
                }
                drop(state);
                self.changed.notify_all();
            }
            _ => {}
        }
        let result = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            self.reset();
        }
        Ok(result)
    }
}
