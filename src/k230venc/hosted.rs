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
    any::Any,
    collections::VecDeque,
    sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use gst::prelude::*;
use gst_video::{VideoFormat, prelude::*};

use super::engines::{self, Engine};
use crate::sync::lock;
use k230_venc::{
    Channel, ChannelAttr, Code, Codec, Device, Error, Frame, FrameData, Mirror, Pack, PackData,
    PackKind, RateControl, Rotation, Status, Stream, packs,
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new(
        "k230venc-hosted",
        gst::DebugColorFlags::empty(),
        Some("Hosted encoder of k230venc"),
    )
});

/// A frame that is a GStreamer buffer; the hosted encoder takes the buffer itself.
pub struct BufferFrame {
    buffer: gst::Buffer,
    info: gst_video::VideoInfo,
    map: OnceLock<Option<gst_video::VideoFrame<gst_video::video_frame::Readable>>>,
}

impl BufferFrame {
    /// A frame of `info`'s layout, or of the buffer's `GstVideoMeta` where it has one.
    pub fn new(buffer: gst::Buffer, info: gst_video::VideoInfo) -> Self {
        Self {
            buffer,
            info,
            map: OnceLock::new(),
        }
    }
}

impl FrameData for BufferFrame {
    fn plane(&self, plane: usize) -> Option<(&[u8], usize)> {
        let map = self
            .map
            .get_or_init(|| {
                gst_video::VideoFrame::from_buffer_readable(self.buffer.clone(), &self.info).ok()
            })
            .as_ref()?;
        let stride = usize::try_from(*map.plane_stride().get(plane)?).ok()?;
        Some((map.plane_data(plane as u32).ok()?, stride))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// One plane of a frame that is not a GStreamer buffer, kept alive by whoever reads it.
struct PlaneBytes(Arc<dyn FrameData>, usize);

impl AsRef<[u8]> for PlaneBytes {
    fn as_ref(&self) -> &[u8] {
        self.0.plane(self.1).map_or(&[], |(bytes, _)| bytes)
    }
}

/// Memory for chroma planes that no encoder reads any more. Taken by the channel, brought back by
/// whichever thread frees a buffer.
type Spare = Arc<Mutex<Vec<Vec<u8>>>>;

/// The chroma planes of a picture, one after the other. Fresh memory for each would cost more than
/// what is written to it, as the pages come from the kernel.
struct Chroma {
    bytes: Vec<u8>,
    home: Spare,
}

impl AsRef<[u8]> for Chroma {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Chroma {
    fn drop(&mut self) {
        lock(&self.home).push(std::mem::take(&mut self.bytes));
    }
}

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

impl Device for HostedDevice {
    fn describe(&self) -> String {
        self.engine
            .clone()
            .unwrap_or_else(|| "an encoder of this machine".into())
    }

    fn create_channel(&self, number: u32, attr: &ChannelAttr) -> Result<Box<dyn Channel>, Error> {
        attr.validate()?;
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
            parameter_sets: Vec::new(),
            spare: Spare::default(),
            unmapped: Vec::new(),
            name: String::new(),
        };
        channel.build()?;
        Ok(Box::new(channel))
    }
}

/// What the encoder has pushed out; written by the encoder's streaming thread and the bus, read
/// by the channel.
#[derive(Default)]
struct Caught {
    state: Mutex<CaughtState>,
    arrived: Condvar,
}

#[derive(Default)]
struct CaughtState {
    buffers: VecDeque<gst::Buffer>,
    end_of_stream: bool,
    error: Option<String>,
}

impl Caught {
    fn lock(&self) -> MutexGuard<'_, CaughtState> {
        lock(&self.state)
    }
}

/// The elements between our two pads.
struct Chain {
    bin: gst::Bin,
    encoder: gst::Element,
    feed: gst::Pad,
    catch: gst::Pad,
    fed: VideoFormat,
    asynchronous: bool,
}

impl Drop for Chain {
    fn drop(&mut self) {
        let _ = self.bin.set_state(gst::State::Null);
        let _ = self.feed.set_active(false);
        let _ = self.catch.set_active(false);
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
    /// The last header pack, for encoders that send it once.
    parameter_sets: Vec<u8>,
    spare: Spare,
    unmapped: Vec<String>,
    name: String,
}

fn make(factory: &'static str) -> Result<gst::Element, Error> {
    gst::ElementFactory::make(factory)
        .build()
        .map_err(|_| Error::NoElement {
            codec: "the picture's conversion",
            wanted: factory.into(),
        })
}

/// The elements that bring the picture into the encoder's shape, none if it is.
fn converters(attr: &ChannelAttr, engine: &Engine) -> Result<Vec<gst::Element>, Error> {
    let mut elements = Vec::new();
    let mut flip = |direction: &str| -> Result<(), Error> {
        let element = make("videoflip")?;
        element.set_property_from_str("video-direction", direction);
        elements.push(element);
        Ok(())
    };
    match attr.mirror {
        Mirror::None => {}
        Mirror::Horizontal => flip("horiz")?,
        Mirror::Vertical => flip("vert")?,
    }
    match attr.rotation {
        Rotation::None => {}
        Rotation::Quarter => flip("90r")?,
        Rotation::Half => flip("180")?,
        Rotation::ThreeQuarters => flip("90l")?,
    }
    if let Some(format) = engine.convert_to {
        elements.push(make("videoconvert")?);
        let filter = make("capsfilter")?;
        filter.set_property(
            "caps",
            gst_video::VideoCapsBuilder::new().format(format).build(),
        );
        elements.push(filter);
    }
    Ok(elements)
}

impl Chain {
    fn new(attr: &ChannelAttr, engine: &Engine, caught: &Arc<Caught>) -> Result<Self, Error> {
        let factory = factory_name(&engine.element);
        let failed =
            |what: &str| Error::refused(Code::NotReady, format!("{factory} for {what} failed"));

        let bin = gst::Bin::new();
        let mut elements = converters(attr, engine)?;
        elements.push(engine.element.clone());
        bin.add_many(&elements)
            .and_then(|()| gst::Element::link_many(&elements))
            .map_err(|_| failed("linking the converters"))?;

        let bus = gst::Bus::new();
        let errors = Arc::downgrade(caught);
        bus.set_sync_handler(move |_, message| {
            if let (gst::MessageView::Error(error), Some(caught)) =
                (message.view(), errors.upgrade())
            {
                caught.lock().error = Some(error.error().to_string());
                caught.arrived.notify_all();
            }
            gst::BusSyncReply::Drop
        });
        bin.set_bus(Some(&bus));

        let info = gst_video::VideoInfo::builder(engine.fed, attr.width, attr.height)
            .fps(gst::Fraction::new(
                attr.framerate.0 as i32,
                attr.framerate.1.max(1) as i32,
            ))
            .build()
            .map_err(|_| failed("the picture's format"))?;
        let caps = info.to_caps().map_err(|_| failed("the picture's caps"))?;
        let feed = feed_pad(caps.clone());
        let catch = catch_pad(engines::wanted_caps(attr), caught);

        let sink = elements[0]
            .static_pad("sink")
            .ok_or_else(|| failed("a sink pad"))?;
        let src = engine
            .element
            .static_pad("src")
            .ok_or_else(|| failed("a source pad"))?;
        feed.link(&sink).map_err(|_| failed("linking its input"))?;
        src.link(&catch).map_err(|_| failed("linking its output"))?;
        let chain = Self {
            bin,
            encoder: engine.element.clone(),
            feed,
            catch,
            fed: engine.fed,
            asynchronous: engine.asynchronous,
        };
        let active = chain
            .catch
            .set_active(true)
            .and(chain.feed.set_active(true));
        active.map_err(|_| failed("activating its pads"))?;
        // A live encoder answers Async or NoPreroll; only Failure is one.
        chain
            .bin
            .set_state(gst::State::Paused)
            .map_err(|_| failed("opening"))?;

        let segment = gst::FormattedSegment::<gst::ClockTime>::new();
        let accepted = chain
            .feed
            .push_event(gst::event::StreamStart::new("k230venc"))
            && chain.feed.push_event(gst::event::Caps::new(&caps))
            && chain.feed.push_event(gst::event::Segment::new(&segment));
        let error = caught.lock().error.take();
        match error {
            Some(reason) => Err(Error::refused(
                Code::NotSupport,
                format!("{factory}: {reason}"),
            )),
            None if !accepted => Err(Error::refused(
                Code::NotSupport,
                format!(
                    "{factory} does not encode {} pictures of {}x{} to {} {}",
                    info.format(),
                    attr.width,
                    attr.height,
                    attr.codec.name(),
                    attr.profile.name()
                ),
            )),
            None => Ok(chain),
        }
    }

    /// The encoder's own delay, in time.
    fn latency(&self) -> Option<gst::ClockTime> {
        let mut query = gst::query::Latency::new();
        self.catch.peer_query(&mut query).then(|| query.result().1)
    }
}

fn feed_pad(caps: gst::Caps) -> gst::Pad {
    gst::Pad::builder(gst::PadDirection::Src)
        .name("feed")
        .query_function(move |pad, parent, query| match query.view_mut() {
            gst::QueryViewMut::Latency(query) => {
                query.set(true, gst::ClockTime::ZERO, gst::ClockTime::NONE);
                true
            }
            gst::QueryViewMut::Caps(query) => {
                let result = match query.filter() {
                    Some(filter) => caps.intersect(filter),
                    None => caps.clone(),
                };
                query.set_result(&result);
                true
            }
            _ => gst::Pad::query_default(pad, parent, query),
        })
        .build()
}

fn catch_pad(caps: gst::Caps, caught: &Arc<Caught>) -> gst::Pad {
    let buffers = caught.clone();
    let events = caught.clone();
    gst::Pad::builder(gst::PadDirection::Sink)
        .name("catch")
        .chain_function(move |_, _, buffer| {
            buffers.lock().buffers.push_back(buffer);
            buffers.arrived.notify_all();
            Ok(gst::FlowSuccess::Ok)
        })
        .event_function(move |_, _, event| {
            if event.type_() == gst::EventType::Eos {
                events.lock().end_of_stream = true;
                events.arrived.notify_all();
            }
            true
        })
        .query_function(move |pad, parent, query| match query.view_mut() {
            gst::QueryViewMut::Caps(query) => {
                let result = match query.filter() {
                    Some(filter) => caps.intersect(filter),
                    None => caps.clone(),
                };
                query.set_result(&result);
                true
            }
            gst::QueryViewMut::AcceptCaps(query) => {
                let accepted = query.caps().can_intersect(&caps);
                query.set_result(accepted);
                true
            }
            _ => gst::Pad::query_default(pad, parent, query),
        })
        .build()
}

fn factory_name(element: &gst::Element) -> String {
    element
        .factory()
        .map_or_else(|| element.name().to_string(), |f| f.name().to_string())
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
                Ok((chain, engine.unmapped))
            });
            match chain {
                Ok((chain, unmapped)) => {
                    self.chain = Some(chain);
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
        let mut packs = packs::split(self.attr.codec, &map);
        if self.attr.codec == Codec::Jpeg {
            return Ok(Stream {
                packs,
                pts,
                data: Box::new(MappedPacks(map)),
            });
        }
        match packs[0] {
            Pack {
                kind: PackKind::Header,
                len,
            } if self.parameter_sets != map[..len] => {
                self.parameter_sets = map[..len].to_vec();
            }
            // VENC sends the parameter sets with every IDR. This copy is for encoders that send
            // them once.
            Pack {
                kind: PackKind::I, ..
            } if !self.parameter_sets.is_empty() => {
                let mut data = self.parameter_sets.clone();
                packs.insert(
                    0,
                    Pack {
                        kind: PackKind::Header,
                        len: data.len(),
                    },
                );
                data.extend_from_slice(&map);
                return Ok(Stream {
                    packs,
                    pts,
                    data: Box::new(data),
                });
            }
            _ => {}
        }
        Ok(Stream {
            packs,
            pts,
            data: Box::new(MappedPacks(map)),
        })
    }
}

fn unreadable() -> Error {
    Error::refused(Code::BadAddr, "reading the frame's planes")
}

/// The bytes of a plane, as many as the picture needs, and the distance of its rows.
fn plane(frame: &Frame, plane: usize) -> Result<(&[u8], usize), Error> {
    let (bytes, stride) = frame.data.plane(plane).ok_or_else(unreadable)?;
    let rows = frame.format.rows(plane, frame.height);
    let row = frame.format.row_bytes(plane, frame.width);
    if stride < row || bytes.len() < stride * rows.saturating_sub(1) + row {
        return Err(unreadable());
    }
    Ok((bytes, stride))
}

/// A plane as a memory that has it without a copy, and the distance of its rows.
fn plane_memory(frame: &Frame, number: usize) -> Result<(gst::Memory, usize), Error> {
    let (_, stride) = plane(frame, number)?;
    let bytes = PlaneBytes(frame.data.clone(), number);
    Ok((gst::Memory::from_slice(bytes), stride))
}

/// A buffer around memory that is not GStreamer's, each plane a memory of its own, none copied.
fn wrap(frame: &Frame) -> Result<gst::Buffer, Error> {
    let mut memories = Vec::new();
    let mut offsets = Vec::new();
    let mut strides = Vec::new();
    let mut offset = 0;
    for number in 0..frame.format.planes() {
        let (memory, stride) = plane_memory(frame, number)?;
        offsets.push(offset);
        strides.push(stride);
        offset += memory.size();
        memories.push(memory);
    }
    let format = engines::video_format(frame.format);
    assemble(frame, format, memories, &offsets, &strides)
}

/// NV12 as I420: the luma plane as it is, the chroma planes in memory of their own.
fn wrap_apart(frame: &Frame, spare: &Spare) -> Result<gst::Buffer, Error> {
    let (bytes, stride) = plane(frame, 1)?;
    let row = frame.format.row_bytes(1, frame.width);
    let rows = frame.format.rows(1, frame.height);
    let mut chroma = Chroma {
        bytes: lock(spare).pop().unwrap_or_default(),
        home: spare.clone(),
    };
    chroma.bytes.resize(row * rows, 0);
    let (u, v) = chroma.bytes.split_at_mut(row / 2 * rows);
    let apart = u.chunks_exact_mut(row / 2).zip(v.chunks_exact_mut(row / 2));
    for ((u, v), both) in apart.zip(bytes.chunks(stride)) {
        let (pairs, _) = both[..row].as_chunks::<2>();
        for ((u, v), pair) in u.iter_mut().zip(v).zip(pairs) {
            // As one number of which the halves are taken, pairs are done sixteen at a time.
            let pair = u16::from_le_bytes(*pair);
            (*u, *v) = (pair as u8, (pair >> 8) as u8);
        }
    }
    let (luma, luma_stride) = plane_memory(frame, 0)?;
    let u_at = luma.size();
    assemble(
        frame,
        VideoFormat::I420,
        [luma, gst::Memory::from_slice(chroma)],
        &[0, u_at, u_at + row / 2 * rows],
        &[luma_stride, row / 2, row / 2],
    )
}

fn assemble(
    frame: &Frame,
    format: VideoFormat,
    memories: impl IntoIterator<Item = gst::Memory>,
    offsets: &[usize],
    strides: &[usize],
) -> Result<gst::Buffer, Error> {
    let strides: Vec<i32> = strides
        .iter()
        .map(|stride| i32::try_from(*stride))
        .collect::<Result<_, _>>()
        .map_err(|_| unreadable())?;
    let mut buffer = gst::Buffer::new();
    let b = buffer.make_mut();
    for memory in memories {
        b.append_memory(memory);
    }
    gst_video::VideoMeta::add_full(
        b,
        gst_video::VideoFrameFlags::empty(),
        format,
        frame.width,
        frame.height,
        offsets,
        &strides,
    )
    .map_err(|_| unreadable())?;
    Ok(buffer)
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
        if (frame.width, frame.height, frame.format)
            != (self.attr.width, self.attr.height, self.attr.format)
        {
            return Err(Error::illegal(format!(
                "a frame of {frame:?} into a channel of {}x{}",
                self.attr.width, self.attr.height
            )));
        }
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
        }
    }

    fn request_idr(&mut self) -> Result<(), Error> {
        self.idr_wanted = true;
        Ok(())
    }

    fn set_rate(&mut self, rate: RateControl, gop: u32) -> Result<(), Error> {
        let mut attr = self.attr;
        (attr.rate, attr.gop) = (rate, gop);
        attr.validate()?;
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

    fn unmapped(&self) -> &[String] {
        &self.unmapped
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}
