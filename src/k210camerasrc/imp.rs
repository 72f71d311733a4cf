// SPDX-License-Identifier: MIT OR Apache-2.0
//! The element: what GStreamer sees of a board.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;

use super::board::Board;
use super::settings::{PROPERTIES, Settings};
use super::streaming::Stream;
use super::trouble::{self, Report, Trouble};
use crate::sync::lock;
use k210_link::MAX_JPEG_SIZE;
use k210_link::command::Attribute;
use k210_link::interrupt::Interrupt;
use k210_link::meter::Meter;
use k210_link::session::{Counters, Frame, wire_time};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "k210camerasrc",
        gst::DebugColorFlags::empty(),
        Some("Camera of a K210 board"),
    )
});

/// What the stream made. Shared by the streaming thread, which writes it, and whoever queries
/// latency, negotiates, or sets a property.
#[derive(Debug, Default)]
pub(super) struct State {
    /// The pictures' size, once it is known.
    size: Option<(u16, u16)>,
    /// The framerate in the caps; 0/1 if it varies.
    framerate: Option<gst::Fraction>,
    /// Longest time from a frame's timestamp to its push that downstream has been told of.
    latency: Option<gst::ClockTime>,
    /// Sensor settings that the board has not been told of yet. `set_property` adds, the streaming
    /// thread takes.
    pub(super) attributes: VecDeque<(Attribute, i16)>,
}

#[derive(Default)]
pub struct K210CameraSrc {
    pub(super) settings: Mutex<Settings>,
    pub(super) state: Mutex<State>,
    /// Taken out of its mutex for as long as a frame is being fetched, so that no lock is held
    /// meanwhile.
    stream: Mutex<Option<Stream>>,
    pub(super) interrupt: Interrupt,
    /// Replaced at each start; the session writes, anyone reads.
    pub(super) counters: Mutex<Arc<Counters>>,
    pub(super) meter: Mutex<Meter>,
    pub(super) reconnections: AtomicU64,
}

#[glib::object_subclass]
impl ObjectSubclass for K210CameraSrc {
    const NAME: &'static str = "GstK210CameraSrc";
    type Type = super::K210CameraSrc;
    type ParentType = gst_base::PushSrc;
}

impl ObjectImpl for K210CameraSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let attribute = lock(&self.settings).set(pspec.name(), value);
        if let Some((attribute, value)) = attribute {
            let mut state = lock(&self.state);
            state.attributes.retain(|(other, _)| *other != attribute);
            state.attributes.push_back((attribute, value));
        }
        if pspec.name() == "interval" {
            self.obj().src_pad().mark_reconfigure();
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        // Statistics look at the settings themselves, so the lock must be gone by then.
        let setting = lock(&self.settings).get(pspec.name());
        setting.unwrap_or_else(|| self.stats().to_value())
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.set_live(true);
        obj.set_format(gst::Format::Time);
    }
}

impl GstObjectImpl for K210CameraSrc {}

impl ElementImpl for K210CameraSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "K210 camera source",
                "Source/Video/Hardware",
                "Streams the camera of a Kendryte K210 board with MaixPy firmware as JPEG",
                env!("CARGO_PKG_AUTHORS"),
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst::Caps::builder("image/jpeg")
                .field("parsed", true)
                .field("width", gst::IntRange::new(8, 1600))
                .field("height", gst::IntRange::new(8, 1200))
                .field("framerate", any_framerate())
                .build();
            gst::PadTemplate::new(
                "src",
                gst::PadDirection::Src,
                gst::PadPresence::Always,
                &caps,
            )
            .into_iter()
            .collect()
        });
        &TEMPLATES
    }
}

fn any_framerate() -> gst::FractionRange {
    // 1000 frames a second are more than the line could carry of the smallest pictures.
    gst::FractionRange::new(gst::Fraction::new(0, 1), gst::Fraction::new(1000, 1))
}

impl BaseSrcImpl for K210CameraSrc {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let setup = settings.sensor_setup();
        if let Some(problem) = setup.window_problem() {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                ["{problem}; see the properties window-width and window-height"]
            ));
        }
        let (script, size) = match &settings.script {
            Some(path) => {
                let source = std::fs::read(path).map_err(|e| trouble::script_error(&e, path))?;
                (source, None)
            }
            None => (setup.script().into_bytes(), Some(setup.picture_size())),
        };
        let boards = Board::candidates(settings.device.as_deref())?;
        self.interrupt.clear();
        // What can be known at once is said at once: an application learns of a missing board, or
        // one that is taken, from the state change.
        let opened = match &boards[..] {
            [board] if board.opens_at_once() => {
                match board.open(settings.baud_rate, &self.interrupt) {
                    Ok(transport) => Some(transport),
                    Err(
                        Trouble::Lost(report) | Trouble::Unfit(report) | Trouble::Fatal(report),
                    ) => return Err(report.into()),
                    Err(Trouble::Flushing | Trouble::Eos) => None,
                }
            }
            _ => None,
        };
        *lock(&self.state) = State {
            size,
            latency: size.map(|size| expected_latency(size, &settings)),
            ..State::default()
        };
        *lock(&self.counters) = Arc::default();
        *lock(&self.meter) = Meter::default();
        self.reconnections.store(0, Ordering::Relaxed);
        *lock(&self.stream) = Some(Stream::new(
            boards,
            opened,
            script,
            settings.script.is_none(),
        ));
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let stream = lock(&self.stream).take();
        if let Some(mut session) = stream.and_then(|stream| stream.session) {
            // Waits are cut short since `unlock`; these are short by themselves.
            self.interrupt.clear();
            session.leave();
        }
        gst::info!(CAT, imp = self, "stopped; {}", self.stats());
        Ok(())
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.interrupt.set();
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.interrupt.clear();
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let Some(min) = lock(&self.state).latency else {
                return false;
            };
            // Nothing is queued here: downstream may take as long as it likes, and gets fewer
            // frames.
            latency.set(true, min, None::<gst::ClockTime>);
            return true;
        }
        BaseSrcImplExt::parent_query(self, query)
    }

    fn caps(&self, filter: Option<&gst::Caps>) -> Option<gst::Caps> {
        let caps = self.possible_caps();
        Some(match filter {
            Some(filter) => filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
            None => caps,
        })
    }

    fn negotiate(&self) -> Result<(), gst::LoggableError> {
        // The size of a user's script's pictures shows with the first of them.
        if lock(&self.state).size.is_none() {
            return Ok(());
        }
        self.settle_caps().map_err(|report| {
            self.post_error_message(report.clone().into());
            gst::loggable_error!(CAT, "{}", report.text)
        })
    }
}

impl PushSrcImpl for K210CameraSrc {
    fn create(
        &self,
        _buffer: Option<&mut gst::BufferRef>,
    ) -> Result<CreateSuccess, gst::FlowError> {
        let Some(mut stream) = lock(&self.stream).take() else {
            return Err(gst::FlowError::Flushing);
        };
        let result = self.next_buffer(&mut stream);
        *lock(&self.stream) = Some(stream);
        match result {
            Ok(buffer) => Ok(CreateSuccess::NewBuffer(buffer)),
            Err(Trouble::Flushing) => Err(gst::FlowError::Flushing),
            Err(Trouble::Eos) => Err(gst::FlowError::Eos),
            Err(Trouble::Lost(report) | Trouble::Unfit(report) | Trouble::Fatal(report)) => {
                self.post_error_message(report.into());
                Err(gst::FlowError::Error)
            }
        }
    }
}

/// Time that a frame of this size is expected to take across the line.
fn expected_latency((width, height): (u16, u16), settings: &Settings) -> gst::ClockTime {
    // Pictures of ordinary detail at quality 50 have about 0.8 bits a pixel; half as much again.
    let pixels = usize::from(width) * usize::from(height);
    let bytes =
        (pixels * 3 / 20 * settings.quality as usize / 50).clamp(2048, MAX_JPEG_SIZE as usize);
    clock_time(wire_time(bytes, settings.baud_rate) + Duration::from_millis(5))
}

pub(super) fn clock_time(duration: Duration) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 2))
}

impl K210CameraSrc {
    fn possible_caps(&self) -> gst::Caps {
        let builder = gst::Caps::builder("image/jpeg").field("parsed", true);
        let size = lock(&self.state).size.or_else(|| {
            let settings = lock(&self.settings);
            match settings.script {
                None => Some(settings.sensor_setup().picture_size()),
                Some(_) => None,
            }
        });
        match size {
            Some((width, height)) => builder
                .field("width", i32::from(width))
                .field("height", i32::from(height)),
            None => builder
                .field("width", gst::IntRange::new(8, 1600))
                .field("height", gst::IntRange::new(8, 1200)),
        }
        .field("framerate", any_framerate())
        .build()
    }

    /// Agrees with downstream on caps for the current size.
    fn settle_caps(&self) -> Result<(), Report> {
        let obj = self.obj();
        let ours = self.possible_caps();
        let theirs = obj.src_pad().peer_query_caps(Some(&ours));
        let mut caps = ours.intersect_with_mode(&theirs, gst::CapsIntersectMode::First);
        if caps.is_empty() {
            let wanted = obj.src_pad().peer_query_caps(None);
            let size = lock(&self.state).size.unwrap_or_default();
            return Err(Report {
                code: gst::ResourceError::Settings,
                text: format!(
                    "The camera makes {}x{} JPEG and downstream takes only {wanted}. Set the \
                     property framesize, or window-width and window-height, to a size that \
                     downstream takes",
                    size.0, size.1
                ),
            });
        }
        let nominal = lock(&self.settings).framerate();
        {
            caps.truncate();
            let caps = caps.make_mut();
            if let Some(structure) = caps.structure_mut(0) {
                structure.fixate_field_nearest_fraction("framerate", nominal);
            }
        }
        caps.fixate();
        let framerate = caps
            .structure(0)
            .and_then(|s| s.get::<gst::Fraction>("framerate").ok())
            .unwrap_or(nominal);
        lock(&self.state).framerate = Some(framerate);
        gst::debug!(CAT, imp = self, "negotiated {caps}");
        obj.set_caps(&caps).map_err(|error| Report {
            code: gst::ResourceError::Settings,
            text: format!("Downstream refuses {caps}: {error}"),
        })
    }

    /// Time between frames: what downstream asked for, else the property's.
    pub(super) fn interval(&self) -> Duration {
        let framerate = lock(&self.state).framerate;
        match framerate {
            Some(rate) if rate.numer() > 0 => {
                let (numer, denom) = (rate.numer() as u64, rate.denom() as u64);
                Duration::from_nanos(1_000_000_000 * denom / numer)
            }
            _ => lock(&self.settings).interval(),
        }
    }

    pub(super) fn make_buffer(
        &self,
        stream: &mut Stream,
        frame: Frame,
    ) -> Result<gst::Buffer, Trouble> {
        let size = (frame.width, frame.height);
        let resized = {
            let mut state = lock(&self.state);
            let known = state.size.replace(size);
            known != Some(size)
        };
        if resized {
            gst::info!(CAT, imp = self, "pictures are {}x{}", size.0, size.1);
            self.settle_caps().map_err(Trouble::Fatal)?;
        }
        let obj = self.obj();
        let age = clock_time(frame.requested.elapsed());
        let pts = obj
            .current_running_time()
            .map(|now| now.saturating_sub(age));
        self.watch_latency(clock_time(frame.arrived - frame.requested));
        let duration = match lock(&self.state).framerate {
            Some(rate) if rate.numer() > 0 => {
                gst::ClockTime::SECOND.mul_div_floor(rate.denom() as u64, rate.numer() as u64)
            }
            _ => None,
        };
        // Lost frames leave a gap.
        let number = {
            let counters = lock(&self.counters).clone();
            let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            (load(&counters.frames) + load(&counters.dropped)).saturating_sub(1)
        };
        let mut buffer = gst::Buffer::from_mut_slice(frame.data);
        {
            let buffer = buffer.make_mut();
            buffer.set_pts(pts);
            // Every picture stands for itself.
            buffer.set_dts(pts);
            buffer.set_duration(duration);
            buffer.set_offset(number);
            buffer.set_offset_end(number + 1);
            if stream.take_discont() {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        Ok(buffer)
    }

    /// Tells downstream when frames take longer than they were said to.
    fn watch_latency(&self, transfer: gst::ClockTime) {
        let mut state = lock(&self.state);
        if state.latency.is_some_and(|latency| transfer <= latency) {
            return;
        }
        // Room for the next one to be larger still.
        let latency = transfer + transfer / 4;
        state.latency = Some(latency);
        drop(state);
        gst::info!(CAT, imp = self, "latency is {latency}");
        let obj = self.obj();
        let _ = obj.post_message(gst::message::Latency::builder().src(&*obj).build());
    }

    pub(super) fn post(&self, structure: gst::Structure) {
        let obj = self.obj();
        let message = gst::message::Element::builder(structure).src(&*obj).build();
        // Without a bus there is nobody to tell.
        let _ = obj.post_message(message);
    }
}
