// SPDX-License-Identifier: MIT OR Apache-2.0
//! A GStreamer encoder of this machine as a VENC device.
//!
//! The encoder's pads are linked to two pads of ours and to nothing else: a frame is pushed into
//! it on the caller's thread, and what it pushes out lands in a queue that
//! [`Channel::get_stream`] reads. No thread, no queue element, no copy: the encoder gets the
//! buffer that the frame came in, and a stream is the buffer that the encoder made. Encoders that
//! want the chroma planes of NV12 apart get these, and only these, in memory of their own.
//!
//! This is an implementation of a trait of [`k230_venc`] and would belong there, were it not
//! that nothing there knows GStreamer. It uses no type of the element `k230venc` and registers
//! none of its own, so the software double can use it in a process that also has the plugin.

use std::{
    collections::VecDeque,
    sync::{Arc, LazyLock, PoisonError},
    time::{Duration, Instant},
};

use gst::prelude::*;
use gst_video::VideoFormat;

use super::engines;
use k230_venc::{
    Channel, ChannelAttr, Code, Codec, Device, Error, Frame, Level, PackData, RateControl, Status,
    Stream, packs::ParameterSets,
};

mod chain;
mod picture;

use chain::{Caught, Chain};
pub use picture::BufferFrame;
use picture::{Spare, wrap, wrap_apart};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "k230venc-hosted",
        gst::DebugColorFlags::empty(),
        Some("Hosted encoder of k230venc"),
    )
});

/// An encoder's output buffer, mapped.
struct MappedPacks(gst::MappedBuffer<gst::buffer::Readable>);

impl PackData for MappedPacks {
    fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// Encoders of this machine.
#[derive(Debug, Clone, Default)]
pub struct HostedDevice {
    engine: Option<String>,
}

impl HostedDevice {
    /// A device that uses the factory `engine`, or the best there is for each codec.
    pub fn new(engine: Option<String>) -> Self {
        Self { engine }
    }
}

/// The encoders of this machine for a software double of the chip's; `None` where GStreamer does not
/// start.
pub fn for_double() -> Option<Box<dyn Device>> {
    gst::init().ok()?;
    Some(Box::new(HostedDevice::default()))
}

impl Device for HostedDevice {
    fn describe(&self) -> String {
        self.engine
            .clone()
            .unwrap_or_else(|| "an encoder of this machine".into())
    }

    fn create_channel(&self, number: u32, attr: &ChannelAttr) -> Result<Box<dyn Channel>, Error> {
        attr.validate_for(|_| true)?;
        let mut channel = HostedChannel {
            number,
            attr: *attr,
            engine: self.engine.clone(),
            caught: Arc::default(),
            chain: None,
            started: false,
            since_idr: 0,
            idr_wanted: false,
            pts: VecDeque::new(),
            last_pts: None,
            parameter_sets: ParameterSets::default(),
            spare: Spare::default(),
            level: None,
            unmapped: Vec::new(),
            name: String::new(),
        };
        channel.build()?;
        Ok(Box::new(channel))
    }
}

struct HostedChannel {
    number: u32,
    attr: ChannelAttr,
    engine: Option<String>,
    caught: Arc<Caught>,
    chain: Option<Chain>,
    started: bool,
    since_idr: u32,
    idr_wanted: bool,
    /// Presentation times of the frames inside, oldest first.
    pts: VecDeque<u64>,
    /// The last timestamp given to the encoder; encoders want them to grow.
    last_pts: Option<gst::ClockTime>,
    parameter_sets: ParameterSets,
    spare: Spare,
    level: Option<Level>,
    unmapped: Vec<String>,
    name: String,
}

impl HostedChannel {
    /// Takes the first encoder that opens and accepts the channel's pictures.
    fn build(&mut self) -> Result<(), Error> {
        let codec = self.attr.codec;
        let names: Vec<&str> = match &self.engine {
            Some(engine) => vec![engine],
            None => engines::candidates(codec).to_vec(),
        };
        let mut refusal = None;
        for name in &names {
            let Some(engine) = engines::make(name, &self.attr) else {
                continue;
            };
            let chain = engine.and_then(|engine| {
                let chain = Chain::new(&self.attr, &engine, &self.caught)?;
                Ok((chain, engine.level, engine.unmapped))
            });
            match chain {
                Ok((chain, level, unmapped)) => {
                    self.chain = Some(chain);
                    self.level = level;
                    // Another encoder in this one's place has the level of this one.
                    self.attr.level = level.or(self.attr.level);
                    self.unmapped = unmapped;
                    self.name = (*name).to_string();
                    gst::info!(CAT, "channel {}: {name} encodes", self.number);
                    return Ok(());
                }
                Err(error) => {
                    gst::info!(CAT, "channel {}: {name} does not: {error}", self.number);
                    refusal.get_or_insert(error);
                }
            }
        }
        Err(refusal.unwrap_or_else(|| Error::NoElement {
            codec: codec.name(),
            wanted: names.join(", "),
        }))
    }

    /// Lets the encoder complete what is inside; the streams stay in the queue.
    fn drain(&mut self) -> Result<(), Error> {
        let Some(chain) = self.chain.take() else {
            return Ok(());
        };
        if self.pts.len() <= self.caught.lock().buffers.len() {
            // Nothing is inside, as always with encoders that have no delay. openh264enc would
            // ask its library for more, which prints "cmInitParaError" to the console.
            return Ok(());
        }
        chain.feed.push_event(gst::event::Eos::new());
        let deadline = Instant::now() + k230_venc::STUCK_AFTER;
        let mut state = self.caught.lock();
        while !state.end_of_stream && state.error.is_none() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Error::Stuck {
                    what: format!("draining {}", self.name),
                    after: k230_venc::STUCK_AFTER,
                });
            }
            (state, _) = self
                .caught
                .arrived
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner);
        }
        state.end_of_stream = false;
        Ok(())
    }

    /// The frame as a buffer for an encoder that is fed `format`: its own buffer where it is one.
    fn buffer(&mut self, frame: &Frame, format: VideoFormat) -> Result<gst::Buffer, Error> {
        let mut buffer = if format != engines::video_format(frame.format) {
            wrap_apart(frame, &self.spare)?
        } else if let Some(own) = frame.data.as_any().downcast_ref::<BufferFrame>() {
            own.buffer.clone()
        } else {
            wrap(frame)?
        };
        let mut pts = gst::ClockTime::from_useconds(frame.pts);
        if let Some(last) = self.last_pts.filter(|last| pts <= *last) {
            pts = last + gst::ClockTime::from_useconds(1);
        }
        self.last_pts = Some(pts);
        let b = buffer.make_mut();
        b.set_pts(pts);
        b.set_dts(gst::ClockTime::NONE);
        b.unset_flags(gst::BufferFlags::DISCONT | gst::BufferFlags::RESYNC);
        Ok(buffer)
    }

    fn failure(&self) -> Option<Error> {
        let reason = self.caught.lock().error.take()?;
        Some(Error::refused(
            Code::NotReady,
            format!("{}: {reason}", self.name),
        ))
    }

    fn stream(&mut self, buffer: gst::Buffer) -> Result<Stream, Error> {
        let pts = self.pts.pop_front().unwrap_or_default();
        let map = buffer
            .into_mapped_buffer_readable()
            .map_err(|_| Error::refused(Code::BadAddr, "mapping the encoder's output"))?;
        // VENC sends the parameter sets with every IDR; some encoders send them once.
        let (packs, sets) = self.parameter_sets.complete(self.attr.codec, &map);
        let data: Box<dyn PackData> = if sets.is_empty() {
            Box::new(MappedPacks(map))
        } else {
            Box::new([sets, &map].concat())
        };
        Ok(Stream { packs, pts, data })
    }
}

impl Channel for HostedChannel {
    fn start(&mut self) -> Result<(), Error> {
        if self.started {
            return Err(Error::refused(Code::NotPerm, "starting a started channel"));
        }
        if self.chain.is_none() {
            self.build()?;
        }
        self.started = true;
        self.since_idr = 0;
        Ok(())
    }

    fn send_frame(&mut self, frame: &Frame, _limit: Duration) -> Result<(), Error> {
        if !self.started {
            return Err(Error::refused(
                Code::NotPerm,
                "sending to a channel that is not started",
            ));
        }
        frame.fits(&self.attr)?;
        if self.chain.is_none() {
            self.build()?;
            self.since_idr = 0;
        }
        let Some(fed) = self.chain.as_ref().map(|chain| chain.fed) else {
            return Err(Error::refused(Code::NotReady, "no encoder"));
        };
        let buffer = self.buffer(frame, fed)?;
        let starts_gop = self.idr_wanted || self.since_idr >= self.attr.gop;
        self.idr_wanted = false;
        if starts_gop {
            self.since_idr = 0;
        }
        let Some(chain) = &self.chain else {
            return Err(Error::refused(Code::NotReady, "no encoder"));
        };
        if starts_gop && self.attr.codec != Codec::Jpeg {
            chain.catch.push_event(
                gst_video::UpstreamForceKeyUnitEvent::builder()
                    .all_headers(true)
                    .build(),
            );
        }
        self.since_idr += 1;
        self.pts.push_back(frame.pts);
        let result = chain.feed.push(buffer);
        if let Some(error) = self.failure() {
            return Err(error);
        }
        result.map(|_| ()).map_err(|flow| {
            Error::refused(Code::NotReady, format!("{} answered {flow:?}", self.name))
        })
    }

    fn get_stream(&mut self, limit: Duration) -> Result<Stream, Error> {
        let deadline = Instant::now() + limit;
        let buffer = {
            let mut state = self.caught.lock();
            loop {
                if let Some(buffer) = state.buffers.pop_front() {
                    break buffer;
                }
                if let Some(reason) = state.error.take() {
                    return Err(Error::refused(
                        Code::NotReady,
                        format!("{}: {reason}", self.name),
                    ));
                }
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return Err(Error::refused(
                        Code::BufEmpty,
                        format!("getting a stream of {}", self.name),
                    ));
                }
                (state, _) = self
                    .caught
                    .arrived
                    .wait_timeout(state, left)
                    .unwrap_or_else(PoisonError::into_inner);
            }
        };
        self.stream(buffer)
    }

    fn query(&self) -> Status {
        Status {
            packs_ready: self.caught.lock().buffers.len() as u32,
            frames_inside: self.pts.len() as u32,
            ..Status::default()
        }
    }

    fn request_idr(&mut self) -> Result<(), Error> {
        self.idr_wanted = true;
        Ok(())
    }

    fn set_rate(&mut self, rate: RateControl, gop: u32) -> Result<(), Error> {
        let mut attr = self.attr;
        (attr.rate, attr.gop) = (rate, gop);
        attr.validate_for(|_| true)?;
        let in_place = self
            .chain
            .as_ref()
            .is_none_or(|chain| engines::set_rate(&chain.encoder, self.attr.rate, rate));
        self.attr = attr;
        if !in_place {
            // The next frame gets a new encoder, and begins a GOP with it.
            self.drain()?;
        }
        Ok(())
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.started = false;
        self.drain()
    }

    fn delay(&self) -> u32 {
        let Some(chain) = &self.chain else { return 0 };
        if chain.asynchronous {
            // How many frames a V4L2 encoder holds is not known before it runs; two is what the
            // stateful interface needs to work on one while the next arrives.
            return 2;
        }
        let (n, d) = match self.attr.framerate {
            (0, _) | (_, 0) => (30, 1),
            known => known,
        };
        chain
            .latency()
            .and_then(|latency| latency.mul_div_ceil(n.into(), u64::from(d) * 1_000_000_000))
            .map_or(0, |frames| frames.nseconds() as u32)
    }

    fn level(&self) -> Option<Level> {
        self.level
    }

    fn unmapped(&self) -> &[String] {
        &self.unmapped
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}
