// SPDX-License-Identifier: MIT OR Apache-2.0
//! The subclass: properties, caps, states, buffers. See the [module](super).

use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::prelude::*;
use gst_base::subclass::base_src::CreateSuccess;
use gst_base::subclass::prelude::*;

use super::board::Board;
use super::enums::{K210FrameSize, K210GainCeiling, K210PixelFormat};
use super::notice::Notice;
use super::settings::Settings;
use super::shared::{Shared, State};
use super::streaming::{Stream, Streaming};
use super::trouble::{self, Report, Trouble};
use super::{CAT, clock_time, uri};
use crate::failure;
use crate::sync::lock;
use k210_link::MAX_JPEG_SIZE;
use k210_link::command::Attribute;
use k210_link::session::{Frame, wire_time};

#[derive(glib::Properties)]
#[properties(wrapper_type = super::K210CameraSrc)]
pub struct K210CameraSrc {
    #[property(
        name = "device", type = Option<String>, get, set, member = device,
        nick = "Device", mutable_ready,
        blurb = "The board: a serial port (/dev/ttyUSB0), tcp://host:port for a serial server, \
                 sim: for the built-in simulated board, sim:FILE for one that looks at a video \
                 file; unset: the environment variable K210_DEVICE, else the first board found \
                 by its USB id"
    )]
    #[property(
        name = "baudrate", type = u32, get, set, member = baud_rate,
        nick = "Baud rate", mutable_ready,
        minimum = 9600, maximum = Settings::MAX_BAUD_RATE, default = Settings::BAUD_RATE,
        blurb = "Speed of the serial line while streaming, in baud (9600 to 5242880, default \
                 1500000); over tcp:// the speed that the serial server is set to"
    )]
    #[property(
        name = "framesize", type = K210FrameSize, get, set, member = frame_size,
        default, nick = "Frame size", mutable_ready,
        blurb = "Size of the frames, by the firmware's names (default qvga, 320x240); which of \
                 them work depends on the board's sensor and memory"
    )]
    #[property(
        name = "pixformat", type = K210PixelFormat, get, set, member = pixel_format,
        default, nick = "Pixel format", mutable_ready,
        blurb = "How the sensor delivers pixels: colour or grey (default rgb565)"
    )]
    #[property(
        name = "hmirror", type = bool, get, set, member = hmirror,
        nick = "Horizontal mirror", mutable_ready, default = false,
        blurb = "Mirror the picture left to right (default false)"
    )]
    #[property(
        name = "vflip", type = bool, get, set, member = vflip,
        nick = "Vertical flip", mutable_ready, default = false,
        blurb = "Turn the picture upside down (default false)"
    )]
    #[property(
        name = "skip-frames", type = u32, get, set, member = skip_frames,
        nick = "Skip frames", mutable_ready, maximum = 1000, default = 0,
        blurb = "Frames to let pass at the start while the sensor settles (0 to 1000, default 0)"
    )]
    #[property(
        name = "quality", type = u32, get, set, member = quality,
        nick = "Quality", mutable_ready, minimum = 1, maximum = 100, default = Settings::QUALITY,
        blurb = "JPEG quality (1 to 100, default 50); the firmware halves it for good when a frame \
                 does not fit into 23488 bytes"
    )]
    #[property(
        name = "interval", type = u32, get, set = Self::set_interval, member = interval,
        nick = "Interval", mutable_playing, default = Settings::INTERVAL,
        blurb = "Time between frames in microseconds (default 100000, 0: as fast as the board \
                 can); a framerate in the downstream caps wins"
    )]
    #[property(
        name = "contrast", type = i32, get, set = Self::set_contrast, member = contrast,
        nick = "Contrast", mutable_playing, minimum = -2, maximum = 2, default = 0,
        blurb = "Contrast (-2 to 2, default 0)"
    )]
    #[property(
        name = "brightness", type = i32, get, set = Self::set_brightness, member = brightness,
        nick = "Brightness", mutable_playing, minimum = -2, maximum = 2, default = 0,
        blurb = "Brightness (-2 to 2, default 0)"
    )]
    #[property(
        name = "saturation", type = i32, get, set = Self::set_saturation, member = saturation,
        nick = "Saturation", mutable_playing, minimum = -2, maximum = 2, default = 0,
        blurb = "Saturation (-2 to 2, default 0)"
    )]
    #[property(
        name = "gain-ceiling", type = K210GainCeiling, get, set = Self::set_gain_ceiling,
        member = gain_ceiling, default, nick = "Gain ceiling", mutable_playing,
        blurb = "Highest gain of the automatic gain control, as a factor (2 to 128, default: what \
                 the sensor's driver sets)"
    )]
    #[property(
        name = "window-x", type = i32, get, set, member = window_x,
        nick = "Window x", mutable_ready, minimum = -1, maximum = 1592, default = -1,
        blurb = "Left edge of the window in pixels (0 to 1592, default -1: centred)"
    )]
    #[property(
        name = "window-y", type = i32, get, set, member = window_y,
        nick = "Window y", mutable_ready, minimum = -1, maximum = 1192, default = -1,
        blurb = "Top edge of the window in pixels (0 to 1192, default -1: centred)"
    )]
    #[property(
        name = "window-width", type = u32, get, set, member = window_width,
        nick = "Window width", mutable_ready, maximum = 1600, default = 0,
        blurb = "Width of the part of the frame to take, in pixels, a multiple of 8 (8 to 1600, \
                 default 0: all of it)"
    )]
    #[property(
        name = "window-height", type = u32, get, set, member = window_height,
        nick = "Window height", mutable_ready, maximum = 1200, default = 0,
        blurb = "Height of the part of the frame to take, in pixels, a multiple of 8 (8 to 1200, \
                 default 0: all of it)"
    )]
    #[property(
        name = "auto-gain", type = bool, get, set, member = auto_gain,
        nick = "Automatic gain", mutable_ready, default = true,
        blurb = "Let the sensor regulate its gain (default true); if not, gain says how much"
    )]
    #[property(
        name = "gain", type = f64, get, set, member = gain,
        nick = "Gain", mutable_ready, minimum = 0.0, maximum = Settings::MAX_GAIN, default = 0.0,
        blurb = "Gain in dB when auto-gain is off (0 to 30, default 0: as it was when the \
                 regulation was turned off)"
    )]
    #[property(
        name = "auto-exposure", type = bool, get, set, member = auto_exposure,
        nick = "Automatic exposure", mutable_ready, default = true,
        blurb = "Let the sensor regulate its exposure (default true); if not, exposure says how \
                 long"
    )]
    #[property(
        name = "exposure", type = u32, get, set, member = exposure,
        nick = "Exposure", mutable_ready, maximum = 1_000_000, default = 0,
        blurb = "Exposure in microseconds when auto-exposure is off (1 to 1000000, default 0: as \
                 it was when the regulation was turned off)"
    )]
    #[property(
        name = "auto-white-balance", type = bool, get, set, member = auto_white_balance,
        nick = "Automatic white balance", mutable_ready, default = true,
        blurb = "Let the sensor regulate its white balance (default true); if not, red-gain, \
                 green-gain and blue-gain say how"
    )]
    #[property(
        name = "red-gain", type = f64, get, set, member = red_gain,
        nick = "Red gain", mutable_ready, minimum = 0.0, maximum = Settings::MAX_GAIN,
        default = 0.0,
        blurb = "Gain of red in dB when auto-white-balance is off (0 to 30, default 0; all three \
                 0: as they were when the regulation was turned off)"
    )]
    #[property(
        name = "green-gain", type = f64, get, set, member = green_gain,
        nick = "Green gain", mutable_ready, minimum = 0.0, maximum = Settings::MAX_GAIN,
        default = 0.0,
        blurb = "Gain of green in dB when auto-white-balance is off (0 to 30, default 0)"
    )]
    #[property(
        name = "blue-gain", type = f64, get, set, member = blue_gain,
        nick = "Blue gain", mutable_ready, minimum = 0.0, maximum = Settings::MAX_GAIN,
        default = 0.0,
        blurb = "Gain of blue in dB when auto-white-balance is off (0 to 30, default 0)"
    )]
    #[property(
        name = "colorbar", type = bool, get, set, member = colorbar,
        nick = "Colour bar", mutable_ready, default = false,
        blurb = "Show the sensor's test pattern instead of the picture (default false)"
    )]
    #[property(
        name = "script", type = Option<String>, get, set, member = script,
        nick = "Script", mutable_ready,
        blurb = "A MicroPython file to run instead of the generated script; what it takes with \
                 sensor.snapshot() is streamed, its end is the end of the stream (default unset)"
    )]
    #[property(
        name = "reconnect", type = bool, get, set, member = reconnect,
        nick = "Reconnect", mutable_playing, default = true,
        blurb = "Wait for a board that went away, before its first frame or later, and go on when \
                 it is back, rather than stop with an error (default true)"
    )]
    #[property(
        name = "reconnect-timeout", type = u64, get, set, member = reconnect_timeout,
        nick = "Reconnect timeout", mutable_playing, default = 0,
        blurb = "How long to wait for a board that went away, in nanoseconds (default 0: for ever)"
    )]
    #[property(
        name = "frame-timeout", type = u64, get, set, member = frame_timeout,
        nick = "Frame timeout", mutable_playing, default = Settings::FRAME_TIMEOUT,
        blurb = "How long a running script may take no picture before the board counts as stuck, \
                 in nanoseconds (default 4000000000, 0: for ever)"
    )]
    settings: Arc<Mutex<Settings>>,
    shared: Shared,
    /// Taken out of its mutex for as long as a frame is being fetched, so that no lock is held
    /// meanwhile.
    stream: Mutex<Option<Stream>>,
}

/// The property whose type the derive macro does not know.
const STATS: &str = "stats";

impl Default for K210CameraSrc {
    fn default() -> Self {
        let shared = Shared::default();
        K210CameraSrc {
            settings: shared.settings.clone(),
            shared,
            stream: Mutex::default(),
        }
    }
}

impl K210CameraSrc {
    /// The value that a text stands for, if the property is one of ours and takes it. The board
    /// itself is named by what stands before the properties.
    fn property_from_text(&self, name: &str, text: &str) -> Option<glib::Value> {
        let spec = Self::derived_properties()
            .iter()
            .find(|spec| spec.name() == name && name != "device")?;
        let value = glib::Value::deserialize_with_pspec(text, spec).ok()?;
        in_range(spec, &value).then_some(value)
    }
}

/// Properties that act while the element is playing.
impl K210CameraSrc {
    fn set_interval(&self, interval: u32) {
        lock(&self.settings).interval = interval;
        self.obj().src_pad().mark_reconfigure();
    }

    fn set_contrast(&self, contrast: i32) {
        lock(&self.settings).contrast = contrast;
        self.change_level(Attribute::Contrast, contrast);
    }

    fn set_brightness(&self, brightness: i32) {
        lock(&self.settings).brightness = brightness;
        self.change_level(Attribute::Brightness, brightness);
    }

    fn set_saturation(&self, saturation: i32) {
        lock(&self.settings).saturation = saturation;
        self.change_level(Attribute::Saturation, saturation);
    }

    fn set_gain_ceiling(&self, ceiling: K210GainCeiling) {
        lock(&self.settings).gain_ceiling = ceiling;
        if let Some(position) = ceiling.position() {
            self.shared.change_sensor(Attribute::GainCeiling, position);
        }
    }

    fn change_level(&self, attribute: Attribute, level: i32) {
        // GObject has checked the range.
        if let Ok(level) = i16::try_from(level) {
            self.shared.change_sensor(attribute, level);
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for K210CameraSrc {
    const NAME: &'static str = "GstK210CameraSrc";
    type Type = super::K210CameraSrc;
    type ParentType = gst_base::PushSrc;
    type Interfaces = (gst::URIHandler,);
}

impl ObjectImpl for K210CameraSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let stats = glib::ParamSpecBoxed::builder::<gst::Structure>(STATS)
                .nick("Statistics")
                .blurb(
                    "frames, bytes, frames-dropped (asked for and not arrived whole), \
                     frames-discarded (left behind by another script), resynchronisations, \
                     reconnections (counts since the start), fps and link-utilisation (0 to 1, \
                     over the last second or so), received and sent (bytes on the line), \
                     bytes-by-command",
                )
                .read_only()
                .build();
            [K210CameraSrc::derived_properties(), &[stats]].concat()
        });
        &PROPERTIES
    }

    fn set_property(&self, id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.derived_set_property(id, value, pspec);
    }

    fn property(&self, id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if pspec.name() == STATS {
            return self.shared.stats().to_value();
        }
        self.derived_property(id, pspec)
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

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::ReadyToPaused {
            // Not in `start`, behind whose error the base class puts one of its own.
            self.open().map_err(|message| {
                self.post_error_message(message);
                gst::StateChangeError
            })?;
        }
        let changed = self.parent_change_state(transition);
        if changed.is_err() && transition == gst::StateChange::ReadyToPaused {
            lock(&self.stream).take();
        }
        changed
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

impl URIHandlerImpl for K210CameraSrc {
    const URI_TYPE: gst::URIType = gst::URIType::Src;

    fn protocols() -> &'static [&'static str] {
        uri::PROTOCOLS
    }

    fn uri(&self) -> Option<String> {
        let device = lock(&self.settings).device.clone();
        Some(uri::Target::uri(device.as_deref()))
    }

    fn set_uri(&self, uri: &str) -> Result<(), glib::Error> {
        let obj = self.obj();
        if obj.current_state() > gst::State::Ready {
            let text = "the URI cannot change while the element streams";
            return Err(glib::Error::new(gst::URIError::BadState, text));
        }
        let bad = |text: String| glib::Error::new(gst::URIError::BadUri, &text);
        let target = uri::Target::parse(uri).map_err(|error| bad(error.to_string()))?;
        let mut values = Vec::new();
        for (name, text) in &target.properties {
            let value = self
                .property_from_text(name, text)
                .ok_or_else(|| bad(format!("{uri}: the property {name} does not take “{text}”")))?;
            values.push((name, value));
        }
        obj.set_property("device", target.device);
        for (name, value) in values {
            obj.set_property_from_value(name, &value);
        }
        Ok(())
    }
}

fn any_framerate() -> gst::FractionRange {
    // 1000 frames a second are more than the line could carry of the smallest pictures.
    gst::FractionRange::new(gst::Fraction::new(0, 1), gst::Fraction::new(1000, 1))
}

impl BaseSrcImpl for K210CameraSrc {
    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let stream = lock(&self.stream).take();
        if let Some(mut session) = stream.and_then(|stream| stream.session) {
            // Waits are cut short since `unlock`; these are short by themselves.
            self.shared.interrupt.clear();
            session.leave();
        }
        gst::info!(CAT, imp = self, "stopped; {}", self.shared.stats());
        Ok(())
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.shared.interrupt.set();
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.shared.interrupt.clear();
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::Latency(latency) = query.view_mut() {
            let Some(min) = lock(&self.shared.state).latency else {
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
        if lock(&self.shared.state).size.is_none() {
            return Ok(());
        }
        if let Err(report) = self.settle_caps() {
            // Behind caps that are not settled the base class puts an error of its own: `create` ends the
            // stream instead.
            let _ = self.fail(report);
        }
        Ok(())
    }
}

impl PushSrcImpl for K210CameraSrc {
    fn create(
        &self,
        _buffer: Option<&mut gst::BufferRef>,
    ) -> Result<CreateSuccess, gst::FlowError> {
        if lock(&self.shared.state).failed {
            return Err(self.after_failure());
        }
        let Some(mut stream) = lock(&self.stream).take() else {
            return Err(gst::FlowError::Flushing);
        };
        let result = loop {
            match self.next_buffer(&mut stream) {
                Err(Trouble::Flushing) => {
                    if let Err(flow) = self.wait_to_go_on() {
                        break Err(flow);
                    }
                }
                Ok(buffer) => {
                    lock(&self.shared.state).began = true;
                    break Ok(CreateSuccess::NewBuffer(buffer));
                }
                Err(Trouble::Eos) => break Err(gst::FlowError::Eos),
                Err(Trouble::Lost(report) | Trouble::Unfit(report) | Trouble::Fatal(report)) => {
                    break Err(self.fail(report));
                }
            }
        };
        *lock(&self.stream) = Some(stream);
        result
    }
}

/// Whether a number is one that its property takes.
fn in_range(spec: &glib::ParamSpec, value: &glib::Value) -> bool {
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecInt>() {
        let range = spec.minimum()..=spec.maximum();
        return value.get().is_ok_and(|value: i32| range.contains(&value));
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecUInt>() {
        let range = spec.minimum()..=spec.maximum();
        return value.get().is_ok_and(|value: u32| range.contains(&value));
    }
    if let Some(spec) = spec.downcast_ref::<glib::ParamSpecDouble>() {
        let range = spec.minimum()..=spec.maximum();
        return value.get().is_ok_and(|value: f64| range.contains(&value));
    }
    true
}

/// Time that a frame of this size is expected to take across the line.
fn expected_latency((width, height): (u16, u16), settings: &Settings) -> gst::ClockTime {
    // Pictures of ordinary detail at quality 50 have about 0.8 bits a pixel; half as much again.
    let pixels = usize::from(width) * usize::from(height);
    let bytes =
        (pixels * 3 / 20 * settings.quality as usize / 50).clamp(2048, MAX_JPEG_SIZE as usize);
    clock_time(wire_time(bytes, settings.baud_rate) + Duration::from_millis(5))
}

impl K210CameraSrc {
    /// Finds the board and prepares to stream from it.
    fn open(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.shared.settings();
        let setup = settings.sensor_setup();
        if let Some(problem) = setup.window_problem() {
            return Err(gst::error_msg!(
                gst::ResourceError::Settings,
                ("{problem}; see the properties window-width and window-height")
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
        self.shared.interrupt.clear();
        // What can be known at once is said at once: an application learns of a missing board, or
        // one that is taken, from the state change.
        let opened = match &boards[..] {
            [board] if board.opens_at_once() => {
                match board.open(settings.baud_rate, &self.shared.interrupt) {
                    Ok(transport) => Some(transport),
                    Err(
                        Trouble::Lost(report) | Trouble::Unfit(report) | Trouble::Fatal(report),
                    ) => return Err(report.into()),
                    Err(Trouble::Flushing | Trouble::Eos) => None,
                }
            }
            _ => None,
        };
        self.shared.start(State {
            size,
            latency: size.map(|size| expected_latency(size, &settings)),
            ..State::default()
        });
        *lock(&self.stream) = Some(Stream::new(
            boards,
            opened,
            script,
            settings.script.is_none(),
        ));
        Ok(())
    }

    fn possible_caps(&self) -> gst::Caps {
        let builder = gst::Caps::builder("image/jpeg").field("parsed", true);
        let size = lock(&self.shared.state).size.or_else(|| {
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
            let size = lock(&self.shared.state).size.unwrap_or_default();
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
        lock(&self.shared.state).framerate = Some(framerate);
        gst::debug!(CAT, imp = self, "negotiated {caps}");
        obj.set_caps(&caps).map_err(|error| Report {
            code: gst::ResourceError::Settings,
            text: format!("Downstream refuses {caps}: {error}"),
        })
    }

    /// Ends the stream with an error.
    fn fail(&self, report: Report) -> gst::FlowError {
        if !std::mem::replace(&mut lock(&self.shared.state).failed, true) {
            self.post_error_message(report.into());
        }
        self.after_failure()
    }

    /// How a stream that failed ends.
    fn after_failure(&self) -> gst::FlowError {
        failure::posted(lock(&self.shared.state).began)
    }

    /// What follows an interrupted wait: nothing if the element is being stopped or flushed, else the
    /// wait for PLAYING. From GStreamer 1.26 on `unlock` comes with PAUSED too, and the task would not
    /// be started again if PLAYING came back before it had ended.
    fn wait_to_go_on(&self) -> Result<(), gst::FlowError> {
        let obj = self.obj();
        let flushing = || {
            // The pad is flushing before `unlock` is called for it.
            match obj.src_pad().pad_flags().contains(gst::PadFlags::FLUSHING) {
                true => Err(gst::FlowError::Flushing),
                false => Ok(()),
            }
        };
        obj.wait_playing()?;
        flushing()?;
        self.shared.interrupt.clear();
        // An `unlock` that was taken back just now was for a flush, if one has begun meanwhile.
        flushing()
    }

    fn next_buffer(&self, stream: &mut Stream) -> Result<gst::Buffer, Trouble> {
        let streaming = Streaming {
            shared: &self.shared,
            tell: &|notice| self.tell(notice),
        };
        let frame = streaming.next(stream)?;
        self.make_buffer(stream, frame)
    }

    fn make_buffer(&self, stream: &mut Stream, frame: Frame) -> Result<gst::Buffer, Trouble> {
        let size = (frame.width, frame.height);
        let resized = {
            let mut state = lock(&self.shared.state);
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
        let duration = match lock(&self.shared.state).framerate {
            Some(rate) if rate.numer() > 0 => {
                gst::ClockTime::SECOND.mul_div_floor(rate.denom() as u64, rate.numer() as u64)
            }
            _ => None,
        };
        // Lost frames leave a gap.
        let (frames, dropped) = self.shared.frames();
        let number = (frames + dropped).saturating_sub(1);
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
        let mut state = lock(&self.shared.state);
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

    /// Tells the application what happened.
    fn tell(&self, notice: Notice) {
        if let Some(structure) = notice.structure() {
            let obj = self.obj();
            let message = gst::message::Element::builder(structure).src(&*obj).build();
            // Without a bus there is nobody to tell.
            let _ = obj.post_message(message);
            return;
        }
        match notice {
            Notice::FrameLost => self.post_qos(),
            Notice::Warning { text } => {
                gst::element_imp_warning!(self, gst::ResourceError::Read, ("{text}"));
            }
            _ => {}
        }
    }

    fn post_qos(&self) {
        let (frames, dropped) = self.shared.frames();
        let obj = self.obj();
        let message = gst::message::Qos::builder(true)
            .running_time(obj.current_running_time())
            .stats(
                gst::format::Buffers::from_u64(frames),
                gst::format::Buffers::from_u64(dropped),
            )
            .src(&*obj)
            .build();
        let _ = obj.post_message(message);
    }
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;

    /// What GStreamer 1.26 does between PLAYING and PAUSED and back, on whatever version there is.
    #[test]
    fn an_interrupt_while_playing_does_not_end_the_stream() {
        gst::init().unwrap();
        let src: super::super::K210CameraSrc = gst::Object::builder()
            .property("device", "sim:")
            .property_from_str("framesize", "qqvga")
            .build()
            .unwrap();
        let sink = gst_app::AppSink::builder()
            .max_buffers(1)
            .sync(false)
            .build();
        let pipeline = gst::Pipeline::new();
        pipeline
            .add_many([src.upcast_ref(), sink.upcast_ref::<gst::Element>()])
            .unwrap();
        src.link(&sink).unwrap();
        pipeline.set_state(gst::State::Playing).unwrap();
        let patience = gst::ClockTime::from_seconds(30);
        for round in 0..20 {
            let sample = sink.try_pull_sample(patience);
            assert!(sample.is_some(), "no frame after {round} interrupts");
            src.imp().unlock().unwrap();
        }
        // While a flush is under way nothing is waited for.
        assert!(src.send_event(gst::event::FlushStart::new()));
        assert!(src.send_event(gst::event::FlushStop::new(false)));
        assert!(sink.try_pull_sample(patience).is_some());
        pipeline.set_state(gst::State::Null).unwrap();
    }
}
