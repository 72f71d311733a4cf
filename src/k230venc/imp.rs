// SPDX-License-Identifier: MIT OR Apache-2.0

use std::{
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_video::{prelude::*, subclass::prelude::*};

use super::{
    Backend, CAT, EntropyMode, MirrorMode, RateControlMode, RotationMode,
    caps::{
        CODECS, any_rate, any_size, choose, choose_level, codec_of, encoded_caps, pad_templates,
        pixel_format, raw_caps, tier,
    },
    channels::{self, Claim},
    counts::Counts,
    held::{Held, HeldStream},
    hosted::{BufferFrame, HostedDevice},
    messages::error_message,
    pack_meta,
    pool::DevicePool,
    regions,
    session::{Encoded, Gone, Halt, SLICE, Session},
    settings::{DEFAULTS, OUTPUT_BUFFERS, Settings},
};
use crate::failure;
use crate::sync::lock;
use k230_venc::{
    ChannelAttr, Code, Codec, Decimator, Device, Error, Frame, LentPlane, MAX_REGIONS, PackKind,
    PixelFormat, RateControl, library,
    mpp::MppDevice,
    v4l2::{self, V4l2Device},
};

/// With all stream buffers held downstream for so long, the user hears of it.
const HELD_WARNING: Duration = Duration::from_secs(2);

/// Pictures whose memory the device lends to upstream: one being written, one that is encoded, and
/// two on the way.
const LENT: u32 = 4;

/// A backend's nick and its device.
type Way = (&'static str, Arc<dyn Device>);

/// What the stream made.
#[derive(Default)]
struct State {
    claim: Option<Claim>,
    devices: Vec<Way>,
    /// Why the chip's encoder is not among them, on a machine that should have it.
    missing: Option<String>,
    counts: Counts,
    /// What could not be mapped and has been warned of.
    said: Vec<String>,
    /// Why the settings were refused with the caps that came last.
    refused: Option<String>,
    /// Taken out by the streaming thread for as long as it works with it.
    running: Option<Box<Running>>,
}

/// A channel and the format it was created for.
struct Running {
    session: Session,
    info: gst_video::VideoInfo,
    /// Memory of a channel that has taken another's place, for upstream's next pool.
    lent: Vec<Vec<LentPlane>>,
    /// Whether upstream was offered the device's memory.
    offered: bool,
    /// What keeps `frame-rate`, where frames come faster.
    decimator: Option<Decimator>,
    warned_of_stall: bool,
}

/// What the properties say while a frame is encoded.
struct Now {
    rate: RateControl,
    gop: u32,
    roi_qp_delta: i32,
    held_limit: Option<u32>,
}

impl Now {
    fn of(settings: &Settings, codec: Codec) -> Self {
        Self {
            rate: settings.rate(codec),
            gop: settings.gop_length,
            roi_qp_delta: settings.roi_qp_delta,
            held_limit: settings.held_limit(),
        }
    }
}

/// Numbers out of VENC's range are taken by the properties and refused when the channel is
/// created, with VENC's code: GLib would drop them with a line on the console.
#[derive(Default, glib::Properties)]
#[properties(wrapper_type = super::K230Venc)]
pub struct K230Venc {
    #[property(name = "backend", type = Backend, member = backend, get, set,
        nick = "Backend",
        blurb = "How the encoder is reached: auto, v4l2, mpp or element (default auto)",
        builder(DEFAULTS.backend).mutable_ready())]
    #[property(name = "device", type = Option<String>, mutable_ready,
        get = |this: &Self| lock(&this.settings).device.as_ref().map(|path| path.display().to_string()),
        set = |this: &Self, path: Option<String>| {
            lock(&this.settings).device = path.filter(|path| !path.is_empty()).map(Into::into);
        },
        nick = "Device",
        blurb = "V4L2 node of the K230's encoder for backend=v4l2 and auto, as /dev/video0 (unset: \
                 the environment's K230_V4L2_DEVICE, else the first whose driver is mvx)")]
    #[property(name = "library", type = Option<String>, mutable_ready,
        get = |this: &Self| lock(&this.settings).library.as_ref().map(|path| path.display().to_string()),
        set = |this: &Self, path: Option<String>| {
            lock(&this.settings).library = path.filter(|path| !path.is_empty()).map(Into::into);
        },
        nick = "MPP library",
        blurb = "File of the MPP library for backend=mpp and auto (unset: the environment's \
                 K230_MPP_LIBRARY, else the usual names)")]
    #[property(name = "engine", type = Option<String>, member = engine, get, mutable_ready,
        set = |this: &Self, name: Option<String>| {
            lock(&this.settings).engine = name.filter(|name| !name.is_empty());
        },
        nick = "Encoder element",
        blurb = "Factory of the encoder for backend=element and auto, as x264enc (unset: V4L2's \
                 if there is one, else the best software encoder installed)")]
    #[property(name = "channel", type = i32, member = channel, get, set, mutable_ready,
        minimum = -1, default = DEFAULTS.channel,
        nick = "Channel",
        blurb = "VENC channel, 0 to 3; -1 is the next free one of 0 to 2, as 3 is the IDE's on \
                 CanMV (default -1)")]
    #[property(name = "frame-rate", type = gst::Fraction, member = frame_rate, get, set,
        nick = "Frame rate",
        blurb = "Frames a second that are encoded: of a faster stream frames are left out, evenly, \
                 and counted in stats; 0/1 encodes all (default 0/1)",
        minimum = gst::Fraction::new_raw(0, 1), maximum = gst::Fraction::new_raw(i32::MAX, 1),
        default = DEFAULTS.frame_rate, mutable_ready)]
    #[property(name = "gop-length", type = u32, member = gop_length, get, set, mutable_playing,
        default = DEFAULTS.gop_length,
        nick = "GOP length",
        blurb = "Frames from one IDR to the next, 1 to 65535; H.264 and H.265 (default 30)")]
    #[property(name = "rate-control", type = RateControlMode, member = rate_control, get, set,
        nick = "Rate control",
        blurb = "Rate control of H.264 and H.265: cbr, vbr or fixqp (default cbr)",
        builder(DEFAULTS.rate_control).mutable_playing())]
    #[property(name = "bitrate", type = u32, member = bitrate, get, set, mutable_playing,
        default = DEFAULTS.bitrate,
        nick = "Bit rate",
        blurb = "Average bit rate in kbit/s, 1 to 240000; cbr and vbr (default 4000)")]
    #[property(name = "max-bitrate", type = u32, member = max_bitrate, get, set, mutable_playing,
        default = DEFAULTS.max_bitrate,
        nick = "Maximum bit rate",
        blurb = "Bit rate in kbit/s that no second exceeds, bitrate to 240000; vbr; 0 is one and a \
                 half times bitrate (default 0)")]
    #[property(name = "qp-i", type = u32, member = qp_i, get, set, mutable_playing,
        default = DEFAULTS.qp_i,
        nick = "Quantizer of I frames",
        blurb = "Quantizer of I frames, 0 (finest) to 51; fixqp (default 28)")]
    #[property(name = "qp-p", type = u32, member = qp_p, get, set, mutable_playing,
        default = DEFAULTS.qp_p,
        nick = "Quantizer of P frames",
        blurb = "Quantizer of P frames, 0 (finest) to 51; fixqp (default 30)")]
    #[property(name = "jpeg-quality", type = u32, member = jpeg_quality, get, set, mutable_playing,
        default = DEFAULTS.jpeg_quality,
        nick = "JPEG quality",
        blurb = "Quality factor of JPEG, 1 (coarsest) to 99 (default 50)")]
    #[property(name = "default-roi-delta-qp", type = i32, member = roi_qp_delta, get, set,
        mutable_playing, minimum = -51, maximum = 51, default = DEFAULTS.roi_qp_delta,
        nick = "Quantizer delta of regions",
        blurb = "Added to the quantizer in regions of interest whose meta has no delta-qp of its \
                 own, -51 (finest) to 51; 0 leaves them alone (default 0)")]
    #[property(name = "output-buffers", type = u32, mutable_ready, default = OUTPUT_BUFFERS,
        get = |this: &Self| lock(&this.settings).output_buffers(),
        set = |this: &Self, count| lock(&this.settings).output_buffers = Some(count),
        nick = "Output buffers",
        blurb = "Stream buffers of the channel, 1 to 256; once it is set, the element waits while \
                 so many buffers, but at least 2, are held downstream (default 15, and no waiting)")]
    #[property(name = "mirror", type = MirrorMode, member = mirror, get, set,
        nick = "Mirror",
        blurb = "Mirroring before the rotation: none, horizontal or vertical (default none)",
        builder(DEFAULTS.mirror).mutable_ready())]
    #[property(name = "rotation", type = RotationMode, member = rotation, get, set,
        nick = "Rotation",
        blurb = "Degrees clockwise: 0, 90, 180 or 270 (default 0)",
        builder(DEFAULTS.rotation).mutable_ready())]
    #[property(name = "entropy-mode", type = EntropyMode, member = entropy_mode, get, set,
        nick = "Entropy mode",
        blurb = "Entropy coding of H.264: cavlc or cabac; baseline is cavlc (default cabac)",
        builder(DEFAULTS.entropy_mode).mutable_ready())]
    #[property(name = "deblock", type = bool, member = deblock, get, set, mutable_ready,
        default = DEFAULTS.deblock,
        nick = "Deblocking",
        blurb = "Deblocking filter of H.264 and H.265 (default true)")]
    #[property(name = "sao", type = bool, member = sao, get, set, mutable_ready,
        default = DEFAULTS.sao,
        nick = "Sample adaptive offset",
        blurb = "Sample adaptive offset of H.265 (default true)")]
    settings: Mutex<Settings>,
    state: Mutex<State>,
    held: Arc<Held>,
    /// Set while a flush or the way down to READY makes waiting pointless; read by the streaming
    /// thread.
    flushing: AtomicBool,
    /// What comes cannot be encoded, which was posted: it is turned away.
    failed: AtomicBool,
}

#[glib::object_subclass]
impl ObjectSubclass for K230Venc {
    const NAME: &'static str = "GstK230Venc";
    type Type = super::K230Venc;
    type ParentType = gst_video::VideoEncoder;
}

/// `stats`, which the derive cannot carry: a structure is not one of its types.
const STATS: &str = "stats";

impl ObjectImpl for K230Venc {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            // Behind the derived ones, which are told apart by their places.
            let mut properties = K230Venc::derived_properties().to_vec();
            properties.push(
                glib::ParamSpecBoxed::builder::<gst::Structure>(STATS)
                    .nick("Statistics")
                    .blurb(
                        "backend, encoder, channel, frames-in, frames-out, bytes-out, idr, dropped, \
                         dropped-short, lost, imported, pooled, copied, held, stalls: what encodes, and counts since \
                         the start; a frame that was dropped was left out to keep frame-rate, \
                         and one is imported, written to the device's memory or copied",
                    )
                    .read_only()
                    .build(),
            );
            properties
        });
        &PROPERTIES
    }

    fn set_property(&self, id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        self.derived_set_property(id, value, pspec);
    }

    fn property(&self, id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            STATS => self.stats().to_value(),
            _ => self.derived_property(id, pspec),
        }
    }
}

impl GstObjectImpl for K230Venc {}

impl ElementImpl for K230Venc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "K230 video encoder",
                "Codec/Encoder/Video/Hardware",
                "Encodes H.264, H.265 and JPEG with the Kendryte K230's VENC, or as VENC would \
                 with an encoder of this machine",
                "The gst-plugin-kendryte developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            pad_templates().unwrap_or_else(|error| {
                gst::error!(CAT, "no pad templates: {error}");
                Vec::new()
            })
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::ReadyToPaused => {
                self.flushing.store(false, Ordering::SeqCst);
                self.failed.store(false, Ordering::SeqCst);
                // Not in `start`, behind whose error the base class puts one of its own.
                self.claim().map_err(|error| {
                    self.obj().post_error_message(error_message(&error));
                    gst::StateChangeError
                })?;
            }
            gst::StateChange::PausedToReady => self.interrupt(),
            _ => {}
        }
        let changed = self.parent_change_state(transition);
        if changed.is_err() && transition == gst::StateChange::ReadyToPaused {
            self.release();
        }
        changed
    }
}

impl VideoEncoderImpl for K230Venc {
    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        self.release();
        Ok(())
    }

    fn set_format(
        &self,
        input: &gst_video::VideoCodecState<'static, gst_video::video_codec_state::Readable>,
    ) -> Result<(), gst::LoggableError> {
        // Of a channel that failed nothing comes any more.
        if !self.failed.swap(false, Ordering::SeqCst) {
            self.finish()
                .map_err(|flow| gst::loggable_error!(CAT, "draining for new caps: {flow:?}"))?;
        }
        lock(&self.state).running = None;
        if self.failed.load(Ordering::SeqCst) {
            return Ok(());
        }

        let info = input.info();
        let (running, profile) = match self.channel_for(info) {
            Ok(channel) => channel,
            Err(error) => {
                // Caps that are refused come again with each frame, and upstream would have an error of its own:
                // the frames are turned away instead.
                let _ = self.refuse(&error);
                return Ok(());
            }
        };
        lock(&self.state).refused = None;
        for sentence in running.session.unmapped() {
            self.warn_once(sentence);
        }
        let attr = *running.session.attr();
        let delay = running.session.delay();
        lock(&self.state).running = Some(running);

        self.announce(&attr, profile, input)?;
        let latency = frame_duration(info) * u64::from(delay);
        self.obj().set_latency(latency, latency);
        Ok(())
    }

    fn handle_frame(
        &self,
        frame: gst_video::VideoCodecFrame<'_>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.failed.load(Ordering::SeqCst) {
            return Err(self.after_failure());
        }
        let Some(mut running) = lock(&self.state).running.take() else {
            return Err(gst::FlowError::NotNegotiated);
        };
        let result = self.encode(&mut running, frame);
        lock(&self.state).running = Some(running);
        result
    }

    fn finish(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        if self.failed.load(Ordering::SeqCst) {
            return Ok(gst::FlowSuccess::Ok);
        }
        let Some(mut running) = lock(&self.state).running.take() else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let result = self.complete(&mut running);
        lock(&self.state).running = Some(running);
        match self.failed.load(Ordering::SeqCst) {
            // The end goes on: what is downstream completes what it has.
            true => Ok(gst::FlowSuccess::Ok),
            false => result,
        }
    }

    fn flush(&self) -> bool {
        self.flushing.store(false, Ordering::SeqCst);
        let Some(mut running) = lock(&self.state).running.take() else {
            return true;
        };
        // The base class has forgotten its frames; forget their streams.
        let flushed = running.session.flush();
        lock(&self.state).running = Some(running);
        if let Err(error) = flushed {
            gst::warning!(CAT, imp = self, "flushing: {error}");
        }
        true
    }

    fn caps(&self, filter: Option<&gst::Caps>) -> gst::Caps {
        let obj = self.obj();
        let allowed = obj
            .src_pad()
            .allowed_caps()
            .unwrap_or_else(|| obj.src_pad().pad_template_caps());
        let (mut takes, mut knows) = (gst::Caps::new_empty(), gst::Caps::new_empty());
        for codec in CODECS {
            if allowed.iter().any(|s| codec_of(s) == Some(codec)) {
                takes.merge(raw_caps(codec, &self.formats(codec)));
                knows.merge(raw_caps(codec, &PixelFormat::ALL));
            }
        }
        if lock(&self.state).claim.is_some() {
            let proxied = self.proxied_caps(&takes, filter);
            if !proxied.is_empty() {
                return proxied;
            }
        }
        // Elements that could not be linked, or upstream that has no other size or format, would not
        // let `set_format` say what is wrong with that.
        within(filter, any_size(knows))
    }

    fn sink_event(&self, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::FlushStart {
            self.interrupt();
        }
        self.parent_sink_event(event)
    }

    fn sink_query(&self, query: &mut gst::QueryRef) -> bool {
        if let gst::QueryViewMut::AcceptCaps(query) = query.view_mut() {
            // Sizes out of range get as far as set_format, where they are refused with VENC's
            // code and range and not with a bare not-negotiated.
            let accepted = gst_video::VideoInfo::from_caps(query.caps())
                .is_ok_and(|info| pixel_format(info.format()).is_some());
            query.set_result(accepted);
            return true;
        }
        self.parent_sink_query(query)
    }

    fn propose_allocation(
        &self,
        query: &mut gst::query::Allocation,
    ) -> Result<(), gst::LoggableError> {
        query.add_allocation_meta::<gst_video::VideoMeta>(None);
        let (caps, wants_pool) = query.get_owned();
        if let Some(caps) = caps.filter(|_| wants_pool)
            && let Some((pool, size)) = self.pool(&caps)
        {
            // No maximum: beyond what the device has lent, the pool has ordinary memory.
            query.add_allocation_pool(Some(&pool), size, 1, 0);
        }
        self.parent_propose_allocation(query)
    }
}

/// Whether a buffer has less than a picture. One that says itself where its planes are has been made for that.
fn is_short(buffer: &gst::BufferRef, info: &gst_video::VideoInfo) -> bool {
    let has_planes = buffer.meta::<gst_video::VideoMeta>().is_some();
    buffer.size() == 0 || (!has_planes && buffer.size() < info.size())
}

/// How long a frame lasts, a thirtieth of a second if the caps do not say.
fn frame_duration(info: &gst_video::VideoInfo) -> gst::ClockTime {
    let (numerator, denominator) = (info.fps().numer(), info.fps().denom());
    u64::try_from(numerator)
        .ok()
        .filter(|n| *n > 0)
        .and_then(|n| gst::ClockTime::SECOND.mul_div_ceil(denominator as u64, n))
        .unwrap_or(gst::ClockTime::from_mseconds(33))
}

/// Those of the caps that are in the filter.
fn within(filter: Option<&gst::Caps>, caps: gst::Caps) -> gst::Caps {
    match filter {
        Some(filter) => filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
        None => caps,
    }
}

impl K230Venc {
    /// Those of the caps that downstream lets through.
    fn proxied_caps(&self, caps: &gst::Caps, filter: Option<&gst::Caps>) -> gst::Caps {
        let obj = self.obj();
        let (turns, has_rate) = {
            let settings = lock(&self.settings);
            (
                settings.rotation().swaps_sides(),
                settings.frame_rate.numer() > 0,
            )
        };
        // What downstream says of width and height is about the rotated picture, and what it says of
        // the frame rate about the frames that are left.
        match (turns, has_rate) {
            (true, _) => within(filter, caps.clone()),
            (false, false) => obj.proxy_getcaps(Some(caps), filter),
            (false, true) => within(filter, any_rate(obj.proxy_getcaps(Some(caps), None))),
        }
    }

    /// Takes a channel's number and finds the devices that it can be on.
    fn claim(&self) -> Result<(), Error> {
        pack_meta::register();
        let settings = lock(&self.settings).clone();
        let claim = channels::claim(settings.channel, &self.obj().path_string())?;
        let (devices, missing) = self.devices(&settings)?;
        *lock(&self.state) = State {
            claim: Some(claim),
            devices,
            missing,
            ..State::default()
        };
        Ok(())
    }

    /// Ends the channel and gives its number back. What was counted stays to be read.
    fn release(&self) {
        // Dropped without the lock, as ending a channel takes time.
        let state = std::mem::take(&mut *lock(&self.state));
        let counts = state.counts.clone();
        drop(state);
        lock(&self.state).counts = counts;
    }

    fn interrupt(&self) {
        self.flushing.store(true, Ordering::SeqCst);
        self.held.interrupt();
    }

    /// The ways to an encoder that the settings allow, the best first, and why the chip's is not
    /// among them where it should be.
    fn devices(&self, settings: &Settings) -> Result<(Vec<Way>, Option<String>), Error> {
        let backend = settings.backend;
        let mut devices: Vec<Way> = Vec::new();
        let mut missing = None;
        if matches!(backend, Backend::Auto | Backend::V4l2) {
            match V4l2Device::find(settings.device.as_deref()) {
                Ok(device) => devices.push(("v4l2", Arc::new(device))),
                Err(error) if backend == Backend::V4l2 => return Err(error),
                Err(error) if settings.device.is_some() || v4l2::is_k230() => {
                    missing = Some(error.to_string());
                }
                Err(error) => gst::debug!(CAT, imp = self, "{error}"),
            }
        }
        if matches!(backend, Backend::Auto | Backend::Mpp) {
            match library::open(settings.library.as_deref()) {
                Ok(library) => devices.push(("mpp", Arc::new(MppDevice::new(library)))),
                Err(error) if backend == Backend::Mpp => return Err(error),
                Err(error) if settings.library.is_some() => {
                    gst::warning!(CAT, imp = self, "{error}");
                }
                Err(error) => gst::debug!(CAT, imp = self, "{error}"),
            }
        }
        if matches!(backend, Backend::Auto | Backend::Element) {
            devices.push((
                "element",
                Arc::new(HostedDevice::new(settings.engine.clone())),
            ));
        }
        Ok((devices, missing))
    }

    /// A pool of the device's memory, if it lends any for pictures of these caps.
    fn pool(&self, caps: &gst::CapsRef) -> Option<(DevicePool, u32)> {
        let is_dma = caps
            .features(0)
            .is_some_and(|f| f.contains(gst_allocators::CAPS_FEATURE_MEMORY_DMABUF));
        // What comes in DMA buffers is imported.
        if is_dma {
            return None;
        }
        let mut running = lock(&self.state).running.take()?;
        let lent = match std::mem::take(&mut running.lent) {
            lent if lent.is_empty() => running.session.lend(LENT),
            lent => Ok(lent),
        };
        let pool = lent
            .inspect_err(|error| gst::debug!(CAT, imp = self, "no pool: {error}"))
            .ok()
            .and_then(|lent| DevicePool::new(lent, &running.info));
        running.offered |= pool.is_some();
        lock(&self.state).running = Some(running);
        pool
    }

    /// The formats that the first of the devices reads, all before the element is started.
    fn formats(&self, codec: Codec) -> Vec<PixelFormat> {
        let device = lock(&self.state)
            .devices
            .first()
            .map(|(_, device)| device.clone());
        device.map_or_else(|| PixelFormat::ALL.to_vec(), |device| device.formats(codec))
    }

    /// A channel for pictures of `info`'s format and what downstream takes, and the profile's name
    /// in caps.
    fn channel_for(
        &self,
        info: &gst_video::VideoInfo,
    ) -> Result<(Box<Running>, Option<&'static str>), Error> {
        let src = self.obj().src_pad().clone();
        let allowed = src
            .allowed_caps()
            .unwrap_or_else(|| src.pad_template_caps());
        let format = pixel_format(info.format()).ok_or_else(|| {
            Error::refused(Code::NotSupport, format!("{} pictures", info.format()))
        })?;
        let (codec, profile, name) = choose(&allowed, format).ok_or_else(|| {
            Error::refused(
                Code::NotSupport,
                "downstream takes no codec and profile of VENC's: H.264 baseline, main, high and \
                 high-10, H.265 main and main-10, JPEG",
            )
        })?;
        let (mut attr, lower_rate) = {
            let settings = lock(&self.settings);
            let attr = settings.attr(codec, profile, info, format);
            (attr, settings.lower_rate(info.fps()))
        };
        attr.level = choose_level(&allowed, &attr)?;
        if let Some(level) = attr.level.filter(|level| !level.suffices(&attr)) {
            self.warn_once(&format!(
                "Downstream takes {level} at most, which is not enough for such pictures; the \
                 stream says that it is"
            ));
        }
        let decimator =
            lower_rate.and_then(|rate| Decimator::new((rate.numer() as u32, rate.denom() as u32)));
        let running = Running {
            session: self.create(attr)?,
            info: info.clone(),
            lent: Vec::new(),
            offered: false,
            decimator,
            warned_of_stall: false,
        };
        Ok((Box::new(running), name))
    }

    /// A channel of the first device that does `attr`.
    fn create(&self, attr: ChannelAttr) -> Result<Session, Error> {
        // An element that encodes in the device's place reads what the device would have.
        let formats = self.formats(attr.codec);
        attr.validate_for(|format| formats.contains(&format))?;
        let (number, devices, mut missing) = {
            let state = lock(&self.state);
            let Some(claim) = &state.claim else {
                return Err(Error::refused(Code::NotReady, "the element is not started"));
            };
            (claim.number(), state.devices.clone(), state.missing.clone())
        };
        let mut refusal = None;
        for (backend, device) in devices {
            let channel = match device.create_channel(number, &attr) {
                Ok(channel) => channel,
                Err(error) => {
                    let device = device.describe();
                    gst::info!(CAT, imp = self, "{device} does not do: {error}");
                    if backend == "v4l2" {
                        missing = Some(error.to_string());
                    }
                    refusal.get_or_insert(error);
                    continue;
                }
            };
            let encoder = channel.describe();
            gst::info!(
                CAT,
                imp = self,
                "channel {number}: {backend} backend, {encoder}: {attr:?}"
            );
            if let Some(reason) = missing.filter(|_| backend == "element") {
                self.warn_once(&format!(
                    "The K230's encoder is not used, {encoder} encodes instead, which may be slow: \
                     {reason}"
                ));
            }
            let mut state = lock(&self.state);
            state.counts.begin(backend, encoder);
            return Ok(Session::new(channel, attr));
        }
        Err(refusal.unwrap_or_else(|| Error::refused(Code::NotReady, "no device")))
    }

    /// Posts a warning, unless it has been.
    fn warn_once(&self, sentence: &str) {
        self.warn_once_of(gst::LibraryError::Settings, sentence);
    }

    fn warn_once_of(&self, error: impl gst::MessageErrorDomain, sentence: &str) {
        {
            let mut state = lock(&self.state);
            if state.said.iter().any(|said| said == sentence) {
                return;
            }
            state.said.push(sentence.to_string());
        }
        gst::element_warning!(self.obj(), error, ("{sentence}"));
    }

    /// Tells downstream what comes out.
    fn announce(
        &self,
        attr: &ChannelAttr,
        profile: Option<&str>,
        input: &gst_video::VideoCodecState<'static, gst_video::video_codec_state::Readable>,
    ) -> Result<(), gst::LoggableError> {
        let obj = self.obj();
        let info = input.info();
        let (width, height) = attr.encoded_size();
        let fps = match lock(&self.settings).lower_rate(info.fps()) {
            // Of a stream that has no rate the result has none either.
            Some(rate) if info.fps().numer() > 0 => rate,
            _ => info.fps(),
        };
        let mut caps = encoded_caps(attr.codec);
        {
            let caps = caps.make_mut();
            caps.set("width", width as i32);
            caps.set("height", height as i32);
            caps.set("framerate", fps);
            if let Some(name) = profile {
                caps.set("profile", name);
            }
            // The one that was asked for stands where what the encoder says is not known.
            if let Some(level) = attr.level {
                caps.set("level", level.name());
                if attr.codec == Codec::H265 {
                    caps.set("tier", tier(level));
                }
            }
        }
        let mut output = obj
            .set_output_state(caps, Some(input))
            .map_err(|_| gst::loggable_error!(CAT, "the output caps are not accepted"))?;
        if attr.rotation.swaps_sides() || fps != info.fps() {
            // The base class writes these into the caps.
            let par = match info.par() {
                par if attr.rotation.swaps_sides() => gst::Fraction::new(par.denom(), par.numer()),
                par => par,
            };
            let encoded = gst_video::VideoInfo::builder(info.format(), width, height)
                .fps(fps)
                .par(par)
                .colorimetry(&info.colorimetry())
                .build()
                .map_err(|_| gst::loggable_error!(CAT, "the encoded picture has no format"))?;
            output.set_info(encoded);
        }
        let Err(refused) = obj.negotiate(output) else {
            return Ok(());
        };
        let shut = gst::PadFlags::FLUSHING | gst::PadFlags::EOS;
        if obj.src_pad().pad_flags().intersects(shut) {
            return Err(gst::loggable_error!(CAT, "{refused}"));
        }
        // Here too caps that are refused would be upstream's error.
        let caps = obj.src_pad().current_caps().map(|caps| caps.to_string());
        let _ = self.fail(gst::error_msg!(
            gst::CoreError::Negotiation,
            (
                "What is downstream does not take {}",
                caps.unwrap_or_default()
            )
        ));
        Ok(())
    }

    /// Encodes no more, and says why.
    fn fail(&self, message: gst::ErrorMessage) -> gst::FlowError {
        if !self.failed.swap(true, Ordering::SeqCst) {
            self.obj().post_error_message(message);
        }
        self.after_failure()
    }

    /// Refuses what the settings ask for, and says why unless that was said of what came last.
    fn refuse(&self, error: &Error) -> gst::FlowError {
        let why = error.to_string();
        let before = lock(&self.state).refused.replace(why.clone());
        if before == Some(why) {
            self.failed.store(true, Ordering::SeqCst);
            return self.after_failure();
        }
        self.fail(error_message(error))
    }

    fn after_failure(&self) -> gst::FlowError {
        failure::posted(lock(&self.state).counts.frames_out > 0)
    }

    fn halt(&self, halt: Halt) -> gst::FlowError {
        match halt {
            Halt::Interrupted => gst::FlowError::Flushing,
            Halt::Failed(error) => self.fail(error_message(&error)),
        }
    }

    fn encode(
        &self,
        running: &mut Running,
        frame: gst_video::VideoCodecFrame<'_>,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        running
            .session
            .start()
            .map_err(|error| self.fail(error_message(&error)))?;
        let now = Now::of(&lock(&self.settings), running.session.attr().codec);
        self.follow_settings(running, now.rate, now.gop)?;

        let buffer = frame.input_buffer_owned().ok_or(gst::FlowError::Error)?;
        let discont = buffer.flags().contains(gst::BufferFlags::DISCONT)
            && lock(&self.state).counts.frames_in > 0;
        let forced = gst_video::VideoCodecFrameFlags::FORCE_KEYFRAME;
        if discont || frame.flags().contains(forced) {
            running
                .session
                .request_idr()
                .map_err(|error| self.fail(error_message(&error)))?;
        }
        let leaves_out = |decimator: &mut Decimator| {
            frame
                .pts()
                .is_some_and(|pts| !decimator.keeps(pts.nseconds()))
        };
        if running.decimator.as_mut().is_some_and(leaves_out) {
            drop(frame);
            running.session.skip(discont);
            let mut state = lock(&self.state);
            state.counts.frames_in += 1;
            state.counts.dropped += 1;
            drop(state);
            return self.deliver_due(running);
        }
        if is_short(&buffer, &running.info) {
            drop(frame);
            running.session.skip(discont);
            let info = &running.info;
            self.warn_once_of(
                gst::StreamError::Format,
                &format!(
                    "Buffers of less than the {} bytes that a picture of {}x{} in {} has are left out",
                    info.size(),
                    info.width(),
                    info.height(),
                    info.format()
                ),
            );
            let mut state = lock(&self.state);
            state.counts.frames_in += 1;
            state.counts.short += 1;
            drop(state);
            return self.deliver_due(running);
        }
        let attr = running.session.attr();
        let picture = Frame {
            format: attr.format,
            width: attr.width,
            height: attr.height,
            pts: frame.pts().map_or(0, gst::ClockTime::useconds),
            regions: regions::of_buffer(&buffer, now.roi_qp_delta),
            data: Arc::new(BufferFrame::new(buffer, running.info.clone())),
        };
        // Finished by number later; letting go of it here releases nothing.
        drop(frame);

        if let Some(limit) = now.held_limit {
            self.wait_for_room(running, limit)?;
        }
        running
            .session
            .send(&picture, discont, &self.flushing)
            .map_err(|halt| self.halt(halt))?;
        self.warn_of_regions(running, picture.regions.len());
        drop(picture);
        {
            let mut state = lock(&self.state);
            state.counts.frames_in += 1;
            state.counts.status = running.session.status();
        }
        self.deliver_due(running)
    }

    /// Hands on the streams that are there, and waits for those that are due.
    fn deliver_due(&self, running: &mut Running) -> Result<gst::FlowSuccess, gst::FlowError> {
        loop {
            let skipped = running.session.take_skipped();
            self.drop_frames(skipped)?;
            let next = running.session.next(&self.flushing);
            match next.map_err(|halt| self.halt(halt))? {
                Some(encoded) => self.deliver(encoded)?,
                None => return Ok(gst::FlowSuccess::Ok),
            };
        }
    }

    /// Brings a running channel to what the properties say now.
    fn follow_settings(
        &self,
        running: &mut Running,
        rate: RateControl,
        gop: u32,
    ) -> Result<(), gst::FlowError> {
        let successor = running
            .session
            .set_rate(rate, gop)
            .map_err(|error| self.refuse(&error))?;
        let Some(attr) = successor else {
            return Ok(());
        };
        gst::info!(CAT, imp = self, "a new channel for {rate:?}, GOP {gop}");
        self.complete(running)?;
        running
            .session
            .replace(|| self.create(attr))
            .map_err(|error| self.refuse(&error))?;
        if running.offered {
            // The memory that upstream has is the old channel's. It asks for a pool again.
            running.lent = running.session.lend(LENT).unwrap_or_default();
            let sink = self.obj().sink_pad().clone();
            sink.push_event(gst::event::Reconfigure::new());
        }
        Ok(())
    }

    /// Waits while all of the channel's stream buffers are out downstream.
    fn wait_for_room(&self, running: &mut Running, limit: u32) -> Result<(), gst::FlowError> {
        if self.held.count() < limit {
            return Ok(());
        }
        let since = Instant::now();
        lock(&self.state).counts.stalls += 1;
        loop {
            let held = self.held.wait_below(limit, SLICE);
            if self.flushing.load(Ordering::SeqCst) {
                return Err(gst::FlowError::Flushing);
            }
            if held < limit {
                return Ok(());
            }
            if since.elapsed() > HELD_WARNING && !running.warned_of_stall {
                running.warned_of_stall = true;
                gst::element_warning!(
                    self.obj(),
                    gst::ResourceError::Busy,
                    ("All {held} output buffers of the channel are held downstream, so it \
                         waits; raise output-buffers above what downstream collects (a sink that \
                         cuts at key frames collects gop-length)")
                );
            }
        }
    }

    /// Takes everything out of the channel and hands it on.
    fn complete(&self, running: &mut Running) -> Result<gst::FlowSuccess, gst::FlowError> {
        running
            .session
            .stop()
            .map_err(|error| self.fail(error_message(&error)))?;
        self.deliver_due(running)?;
        let gone = running.session.forget();
        self.drop_frames(gone)?;
        lock(&self.state).counts.status = running.session.status();
        Ok(gst::FlowSuccess::Ok)
    }

    /// Says once that regions of interest have no effect, or not all of them.
    fn warn_of_regions(&self, running: &Running, count: usize) {
        if count > 0 && !running.session.takes_regions() {
            let encoder = lock(&self.state).counts.encoder.clone();
            self.warn_once(&format!(
                "{encoder} takes no regions of interest; pictures are encoded alike all over"
            ));
        } else if count > MAX_REGIONS {
            self.warn_once(&format!(
                "The encoder takes {MAX_REGIONS} regions of interest of a picture, and {count} came; \
                 the others have no effect"
            ));
        }
    }

    /// Gives up the oldest frames, which have no stream.
    fn drop_frames(&self, gone: Gone) -> Result<(), gst::FlowError> {
        if gone.lost > 0 {
            lock(&self.state).counts.lost += gone.lost as u64;
            self.warn_once(
                "The encoder lost a frame. What it loses is left out and counted in stats; check \
                 the kernel's log",
            );
        }
        let obj = self.obj();
        for _ in 0..gone.lost + gone.skipped {
            if let Some(frame) = obj.oldest_frame() {
                // A frame without a buffer is dropped.
                obj.finish_frame(frame)?;
            }
        }
        Ok(())
    }

    /// Hands a stream downstream as the oldest frame's, but for those that were lost.
    fn deliver(&self, encoded: Encoded) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Encoded {
            before,
            stream,
            discont,
        } = encoded;
        self.drop_frames(before)?;
        let Some(stream) = stream else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let obj = self.obj();
        let Some(mut frame) = obj.oldest_frame() else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let key = stream.is_key();
        let packs = stream.packs;
        let mut buffer = gst::Buffer::from_slice(HeldStream::new(stream.data, self.held.clone()));
        {
            let mut state = lock(&self.state);
            state.counts.frames_out += 1;
            state.counts.bytes_out += buffer.size() as u64;
            state.counts.idr += u64::from(key);
        }
        let b = buffer.make_mut();
        pack_meta::add(b, &packs);
        if packs.iter().any(|pack| pack.kind == PackKind::Header) {
            b.set_flags(gst::BufferFlags::HEADER);
        }
        if discont {
            b.set_flags(gst::BufferFlags::DISCONT);
        }
        if key {
            frame.set_flags(gst_video::VideoCodecFrameFlags::SYNC_POINT);
        }
        // There are no B frames.
        frame.set_dts(frame.pts());
        frame.set_output_buffer(buffer);
        obj.finish_frame(frame)
    }

    fn stats(&self) -> gst::Structure {
        let held = self.held.count();
        let state = lock(&self.state);
        let channel = state.claim.as_ref().map(Claim::number);
        state.counts.structure(channel, held)
    }
}
