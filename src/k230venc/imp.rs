// SPDX-License-Identifier: MIT OR Apache-2.0

use std::{
    collections::VecDeque,
    sync::{
        Arc, LazyLock, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use gst::{glib, prelude::*, subclass::prelude::*};
use gst_video::{prelude::*, subclass::prelude::*};

use super::{
    caps::{CODECS, choose, codec_of, encoded_caps, pad_templates, pixel_format, raw_caps},
    channels::{self, Claim},
    held::{Held, HeldStream},
    hosted::{BufferFrame, HostedDevice},
    messages::error_message,
    pack_meta,
    settings::{Backend, PROPERTIES, Settings},
};
use crate::sync::lock;
use k230_venc::{
    Channel, ChannelAttr, Code, Device, Error, Frame, PackKind, STUCK_AFTER, Stream, library,
    mpp::MppDevice,
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "k230venc",
        gst::DebugColorFlags::empty(),
        Some("K230 video encoder"),
    )
});

/// How long one wait for the device or for downstream lasts before a flush or a state change is
/// looked for.
const SLICE: Duration = Duration::from_millis(100);

/// With all stream buffers held downstream for so long, the user hears of it.
const HELD_WARNING: Duration = Duration::from_secs(2);

/// Counts since the start; written by the streaming thread, read by `stats`.
#[derive(Debug, Clone, Default)]
struct Counts {
    backend: &'static str,
    encoder: String,
    frames_in: u64,
    frames_out: u64,
    bytes_out: u64,
    idr: u64,
    stalls: u64,
}

/// A backend's nick and its device.
type Way = (&'static str, Arc<dyn Device>);

/// What the stream made.
#[derive(Default)]
struct State {
    claim: Option<Claim>,
    devices: Vec<Way>,
    counts: Counts,
    /// What could not be mapped and has been warned of.
    said: Vec<String>,
    /// Taken out by the streaming thread for as long as it works with it.
    running: Option<Running>,
}

/// A created channel and the format it was created for.
struct Running {
    channel: Box<dyn Channel>,
    attr: ChannelAttr,
    info: gst_video::VideoInfo,
    started: bool,
    /// Frames that may be inside when a stream is waited for.
    delay: u32,
    /// For the frames inside, oldest first, whether they came with DISCONT.
    inside: VecDeque<bool>,
    warned_of_stall: bool,
}

#[derive(Default)]
pub struct K230Venc {
    settings: Mutex<Settings>,
    state: Mutex<State>,
    held: Arc<Held>,
    /// Set while a flush or the way down to READY makes waiting pointless; read by the streaming
    /// thread.
    flushing: AtomicBool,
}

#[glib::object_subclass]
impl ObjectSubclass for K230Venc {
    const NAME: &'static str = "GstK230Venc";
    type Type = super::K230Venc;
    type ParentType = gst_video::VideoEncoder;
}

impl ObjectImpl for K230Venc {
    fn properties() -> &'static [glib::ParamSpec] {
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        lock(&self.settings).set(pspec.name(), value);
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "stats" => self.stats().to_value(),
            name => lock(&self.settings).get(name),
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
                "Encodes H.264, H.265 and JPEG with the Kendryte K210/K230 family's VENC, or as \
                 VENC would with an encoder of this machine",
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
            gst::StateChange::ReadyToPaused => self.flushing.store(false, Ordering::SeqCst),
            gst::StateChange::PausedToReady => self.interrupt(),
            _ => {}
        }
        self.parent_change_state(transition)
    }
}

impl VideoEncoderImpl for K230Venc {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        pack_meta::register();
        let settings = lock(&self.settings).clone();
        let claim = channels::claim(settings.channel, &self.obj().path_string())
            .map_err(|error| error_message(&error))?;
        let devices = self.devices(&settings).map_err(|e| error_message(&e))?;
        let mut state = lock(&self.state);
        *state = State {
            claim: Some(claim),
            devices,
            ..State::default()
        };
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        // Dropped without the lock, as ending a channel takes time.
        let state = std::mem::take(&mut *lock(&self.state));
        let counts = state.counts.clone();
        drop(state);
        // What was counted stays to be read.
        lock(&self.state).counts = counts;
        Ok(())
    }

    fn set_format(
        &self,
        input: &gst_video::VideoCodecState<'static, gst_video::video_codec_state::Readable>,
    ) -> Result<(), gst::LoggableError> {
        self.finish()
            .map_err(|flow| gst::loggable_error!(CAT, "draining for new caps: {flow:?}"))?;
        lock(&self.state).running = None;

        let obj = self.obj();
        let info = input.info().clone();
        let allowed = obj
            .src_pad()
            .allowed_caps()
            .unwrap_or_else(|| obj.src_pad().pad_template_caps());
        let settings = lock(&self.settings).clone();
        let created = choose(&allowed)
            .ok_or_else(|| {
                Error::refused(
                    Code::NotSupport,
                    "downstream takes no codec and profile of VENC's: H.264 baseline, main, high \
                     and high-10, H.265 main and main-10, JPEG",
                )
            })
            .and_then(|(codec, profile, name)| {
                let format = pixel_format(info.format()).ok_or_else(|| {
                    Error::refused(Code::NotSupport, format!("{} pictures", info.format()))
                })?;
                let attr = settings.attr(codec, profile, &info, format);
                Ok((self.create(attr, &info)?, name))
            });
        let (running, profile) = match created {
            Ok(created) => created,
            Err(error) => {
                obj.post_error_message(error_message(&error));
                return Err(gst::loggable_error!(CAT, "{error}"));
            }
        };
        for sentence in running.channel.unmapped() {
            let mut state = lock(&self.state);
            if state.said.contains(sentence) {
                continue;
            }
            state.said.push(sentence.clone());
            drop(state);
            gst::element_warning!(obj, gst::LibraryError::Settings, ("{sentence}"));
        }

        let attr = running.attr;
        let delay = running.delay;
        lock(&self.state).running = Some(running);

        let mut caps = encoded_caps(attr.codec);
        {
            let (width, height) = attr.encoded_size();
            let caps = caps.make_mut();
            caps.set("width", width as i32);
            caps.set("height", height as i32);
            caps.set("framerate", info.fps());
            if let Some(name) = profile {
                caps.set("profile", name);
            }
        }
        let mut output = obj
            .set_output_state(caps, Some(input))
            .map_err(|_| gst::loggable_error!(CAT, "the output caps are not accepted"))?;
        if attr.rotation.swaps_sides() {
            let (width, height) = attr.encoded_size();
            let par = info.par();
            let turned = gst_video::VideoInfo::builder(info.format(), width, height)
                .fps(info.fps())
                .par(gst::Fraction::new(par.denom(), par.numer()))
                .colorimetry(&info.colorimetry())
                .build()
                .map_err(|_| gst::loggable_error!(CAT, "the rotated picture has no format"))?;
            output.set_info(turned);
        }
        obj.negotiate(output)
            .map_err(|_| gst::loggable_error!(CAT, "downstream refuses the caps"))?;

        let frame = info
            .fps()
            .numer()
            .try_into()
            .ok()
            .filter(|n| *n > 0u64)
            .and_then(|n| gst::ClockTime::SECOND.mul_div_ceil(info.fps().denom() as u64, n));
        let latency = frame.unwrap_or(gst::ClockTime::from_mseconds(33)) * u64::from(delay);
        obj.set_latency(latency, latency);
        Ok(())
    }

    fn handle_frame(
        &self,
        frame: gst_video::VideoCodecFrame,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some(mut running) = lock(&self.state).running.take() else {
            return Err(gst::FlowError::NotNegotiated);
        };
        let result = self.encode(&mut running, frame);
        lock(&self.state).running = Some(running);
        result
    }

    fn finish(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some(mut running) = lock(&self.state).running.take() else {
            return Ok(gst::FlowSuccess::Ok);
        };
        let result = self.complete(&mut running);
        lock(&self.state).running = Some(running);
        result
    }

    fn flush(&self) -> bool {
        self.flushing.store(false, Ordering::SeqCst);
        let Some(mut running) = lock(&self.state).running.take() else {
            return true;
        };
        // The base class has forgotten its frames; forget their streams.
        let emptied = running.empty();
        let _ = running.channel.request_idr();
        lock(&self.state).running = Some(running);
        if let Err(error) = emptied {
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
        let mut caps = gst::Caps::new_empty();
        for codec in CODECS {
            if allowed.iter().any(|s| codec_of(s) == Some(codec)) {
                caps.merge(raw_caps(codec));
            }
        }
        if !lock(&self.settings).rotation().swaps_sides() {
            return obj.proxy_getcaps(Some(&caps), filter);
        }
        // What downstream says of width and height is about the rotated picture.
        match filter {
            Some(filter) => filter.intersect_with_mode(&caps, gst::CapsIntersectMode::First),
            None => caps,
        }
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
        self.parent_propose_allocation(query)
    }
}

impl Running {
    /// Throws away what is inside.
    fn empty(&mut self) -> Result<(), Error> {
        if self.started && !self.inside.is_empty() {
            self.channel.stop()?;
            self.started = false;
            while self.channel.get_stream(Duration::ZERO).is_ok() {}
        }
        self.inside.clear();
        Ok(())
    }
}

impl K230Venc {
    fn interrupt(&self) {
        self.flushing.store(true, Ordering::SeqCst);
        self.held.freed.notify_all();
    }

    /// The ways to an encoder that the settings allow, the best first.
    fn devices(&self, settings: &Settings) -> Result<Vec<Way>, Error> {
        let mut devices: Vec<Way> = Vec::new();
        if settings.backend != Backend::Element {
            match library::open(settings.library.as_deref()) {
                Ok(library) => devices.push(("mpp", Arc::new(MppDevice::new(library)))),
                Err(error) if settings.backend == Backend::Mpp => return Err(error),
                Err(error) if settings.library.is_some() => {
                    gst::warning!(CAT, imp = self, "{error}");
                }
                Err(error) => gst::debug!(CAT, imp = self, "{error}"),
            }
        }
        if settings.backend != Backend::Mpp {
            devices.push((
                "element",
                Arc::new(HostedDevice::new(settings.engine.clone())),
            ));
        }
        Ok(devices)
    }

    fn create(&self, attr: ChannelAttr, info: &gst_video::VideoInfo) -> Result<Running, Error> {
        attr.validate()?;
        let (number, devices) = {
            let state = lock(&self.state);
            let Some(claim) = &state.claim else {
                return Err(Error::refused(Code::NotReady, "the element is not started"));
            };
            (claim.number(), state.devices.clone())
        };
        let mut refusal = None;
        for (backend, device) in devices {
            let channel = match device.create_channel(number, &attr) {
                Ok(channel) => channel,
                Err(error) => {
                    gst::info!(
                        CAT,
                        imp = self,
                        "{} does not do: {error}",
                        device.describe()
                    );
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
            let mut state = lock(&self.state);
            state.counts.backend = backend;
            state.counts.encoder = encoder;
            drop(state);
            return Ok(Running {
                delay: channel.delay(),
                channel,
                attr,
                info: info.clone(),
                started: false,
                inside: VecDeque::new(),
                warned_of_stall: false,
            });
        }
        Err(refusal.unwrap_or_else(|| Error::refused(Code::NotReady, "no device")))
    }

    fn fail(&self, error: Error) -> gst::FlowError {
        self.obj().post_error_message(error_message(&error));
        gst::FlowError::Error
    }

    fn encode(
        &self,
        running: &mut Running,
        frame: gst_video::VideoCodecFrame,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        if !running.started {
            running.channel.start().map_err(|error| self.fail(error))?;
            running.started = true;
        }
        self.follow_settings(running)?;

        let buffer = frame.input_buffer_owned().ok_or(gst::FlowError::Error)?;
        let discont = buffer.flags().contains(gst::BufferFlags::DISCONT)
            && lock(&self.state).counts.frames_in > 0;
        if discont
            || frame
                .flags()
                .contains(gst_video::VideoCodecFrameFlags::FORCE_KEYFRAME)
        {
            running
                .channel
                .request_idr()
                .map_err(|error| self.fail(error))?;
        }
        let picture = Frame {
            format: running.attr.format,
            width: running.attr.width,
            height: running.attr.height,
            pts: frame.pts().map_or(0, gst::ClockTime::useconds),
            data: Arc::new(BufferFrame::new(buffer, running.info.clone())),
        };
        // Finished by number later; letting go of it here releases nothing.
        drop(frame);

        self.wait_for_room(running)?;
        self.send(running, &picture)?;
        drop(picture);
        running.inside.push_back(discont);
        lock(&self.state).counts.frames_in += 1;

        let delay = running.delay as usize;
        while !running.inside.is_empty() {
            let limit = if running.inside.len() > delay {
                STUCK_AFTER
            } else {
                Duration::ZERO
            };
            match self.fetch(running, limit)? {
                Some(stream) => self.deliver(running, stream)?,
                None => break,
            };
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Brings a running channel to what the properties say now.
    fn follow_settings(&self, running: &mut Running) -> Result<(), gst::FlowError> {
        let (rate, gop) = {
            let settings = lock(&self.settings);
            (settings.rate(running.attr.codec), settings.gop_length)
        };
        if (rate, gop) == (running.attr.rate, running.attr.gop) {
            return Ok(());
        }
        let mut attr = running.attr;
        (attr.rate, attr.gop) = (rate, gop);
        match running.channel.set_rate(rate, gop) {
            Ok(()) => running.attr = attr,
            Err(Error::Refused {
                code: Code::NotSupport,
                ..
            }) => {
                gst::info!(CAT, imp = self, "a new channel for {rate:?}, GOP {gop}");
                attr.validate().map_err(|error| self.fail(error))?;
                self.complete(running)?;
                // The old one has to be gone before its number is created anew.
                let info = running.info.clone();
                running.channel = Box::new(Gone);
                let mut fresh = self.create(attr, &info).map_err(|error| self.fail(error))?;
                fresh.channel.start().map_err(|error| self.fail(error))?;
                fresh.started = true;
                *running = fresh;
            }
            Err(error) => return Err(self.fail(error)),
        }
        Ok(())
    }

    /// Waits while all of the channel's stream buffers are out downstream.
    fn wait_for_room(&self, running: &mut Running) -> Result<(), gst::FlowError> {
        let Some(limit) = lock(&self.settings).held_limit() else {
            return Ok(());
        };
        let since = Instant::now();
        let mut stalled = false;
        loop {
            let held = {
                let count = self.held.lock();
                if *count < limit {
                    return Ok(());
                }
                *self
                    .held
                    .freed
                    .wait_timeout(count, SLICE)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            };
            if self.flushing.load(Ordering::SeqCst) {
                return Err(gst::FlowError::Flushing);
            }
            if !stalled {
                stalled = true;
                lock(&self.state).counts.stalls += 1;
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

    fn send(&self, running: &mut Running, picture: &Frame) -> Result<(), gst::FlowError> {
        let since = Instant::now();
        loop {
            match running.channel.send_frame(picture, SLICE) {
                Ok(()) => return Ok(()),
                Err(error) if !error.is_transient() => return Err(self.fail(error)),
                Err(error) if since.elapsed() > STUCK_AFTER => return Err(self.fail(error)),
                Err(_) if self.flushing.load(Ordering::SeqCst) => {
                    return Err(gst::FlowError::Flushing);
                }
                Err(_) => {}
            }
        }
    }

    /// The next stream, `None` if there is none in `limit`, which at [`STUCK_AFTER`] is an error.
    fn fetch(
        &self,
        running: &mut Running,
        limit: Duration,
    ) -> Result<Option<Stream>, gst::FlowError> {
        let since = Instant::now();
        loop {
            let left = limit.saturating_sub(since.elapsed());
            match running.channel.get_stream(left.min(SLICE)) {
                Ok(stream) => return Ok(Some(stream)),
                Err(error) if !error.is_transient() => return Err(self.fail(error)),
                Err(_) if self.flushing.load(Ordering::SeqCst) => {
                    return Err(gst::FlowError::Flushing);
                }
                Err(_) if limit.is_zero() => return Ok(None),
                Err(_) if left.is_zero() => {
                    return Err(self.fail(Error::Stuck {
                        what: format!("kd_mpi_venc_get_stream of {}", running.channel.describe()),
                        after: STUCK_AFTER,
                    }));
                }
                Err(_) => {}
            }
        }
    }

    /// Takes everything out of the channel and hands it on.
    fn complete(&self, running: &mut Running) -> Result<gst::FlowSuccess, gst::FlowError> {
        if !running.started {
            return Ok(gst::FlowSuccess::Ok);
        }
        running.channel.stop().map_err(|error| self.fail(error))?;
        running.started = false;
        while !running.inside.is_empty() {
            match self.fetch(running, Duration::ZERO)? {
                Some(stream) => self.deliver(running, stream)?,
                None => break,
            };
        }
        running.inside.clear();
        Ok(gst::FlowSuccess::Ok)
    }

    /// Hands a stream downstream as the oldest frame's.
    fn deliver(
        &self,
        running: &mut Running,
        stream: Stream,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let discont = running.inside.pop_front().unwrap_or_default();
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
        let held = *self.held.lock();
        let state = lock(&self.state);
        let c = &state.counts;
        gst::Structure::builder("k230venc-stats")
            .field("backend", c.backend)
            .field("encoder", &c.encoder)
            .field(
                "channel",
                state
                    .claim
                    .as_ref()
                    .map_or(-1, |claim| claim.number() as i32),
            )
            .field("frames-in", c.frames_in)
            .field("frames-out", c.frames_out)
            .field("bytes-out", c.bytes_out)
            .field("idr", c.idr)
            .field("held", held)
            .field("stalls", c.stalls)
            .build()
    }
}

/// Stands where a channel was while the next one is created.
struct Gone;

impl Gone {
    fn error<T>() -> Result<T, Error> {
        Err(Error::refused(Code::Unexist, "the channel is gone"))
    }
}

impl Channel for Gone {
    fn start(&mut self) -> Result<(), Error> {
        Self::error()
    }
    fn send_frame(&mut self, _: &Frame, _: Duration) -> Result<(), Error> {
        Self::error()
    }
    fn get_stream(&mut self, _: Duration) -> Result<Stream, Error> {
        Self::error()
    }
    fn query(&self) -> k230_venc::Status {
        k230_venc::Status::default()
    }
    fn request_idr(&mut self) -> Result<(), Error> {
        Self::error()
    }
    fn set_rate(&mut self, _: k230_venc::RateControl, _: u32) -> Result<(), Error> {
        Self::error()
    }
    fn stop(&mut self) -> Result<(), Error> {
        Self::error()
    }
    fn delay(&self) -> u32 {
        0
    }
    fn describe(&self) -> String {
        String::new()
    }
}
