// SPDX-License-Identifier: MIT OR Apache-2.0
//! What a channel does, whoever calls it.
//!
//! A channel has a queue of frames, a thread that encodes them with an encoder of this machine,
//! and a queue of packs, each in a stream buffer taken from the VB pools when the channel is
//! created. A pack's buffer comes back with `kd_mpi_venc_release_stream`; with none left the
//! thread waits, the queue of frames fills up, and `kd_mpi_venc_send_frame` says so.

use std::{
    any::Any,
    collections::VecDeque,
    ptr::NonNull,
    slice,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use k230_venc::{
    Channel, ChannelAttr, Code, Codec, Entropy, Error, Frame, FrameData, Mirror, Pack, PackKind,
    PixelFormat, Profile, RateControl, Rotation, abi::*,
};

use crate::{ffi::lock, memory, vb::Block};

pub(super) const fn code(reason: u32) -> i32 {
    error(K_ID_VENC, reason)
}
pub(super) const INVALID_CHNID: i32 = code(2);
pub(super) const ILLEGAL_PARAM: i32 = code(3);
pub(super) const EXIST: i32 = code(4);
pub(super) const UNEXIST: i32 = code(5);
pub(super) const NULL_PTR: i32 = code(6);
pub(super) const NOT_SUPPORT: i32 = code(8);
pub(super) const NOT_PERM: i32 = code(9);
pub(super) const NOBUF: i32 = code(13);
pub(super) const BUF_EMPTY: i32 = code(14);
pub(super) const NOTREADY: i32 = code(16);
pub(super) const BADADDR: i32 = code(17);
pub(super) const BUSY: i32 = code(18);

/// Frames that wait for the encoder. The manual gives no number.
pub(super) const QUEUE: usize = 30;

/// `K_VENC_2D_MAX_CHN_NUM`
pub(super) const CHANNELS_2D: u32 = 3;

/// A GOP for attributes that leave it 0, as `sample_venc.c` does: CanMV's.
pub(super) const DEFAULT_GOP: u32 = 30;

/// When channels were destroyed, by number.
pub(super) static DESTROYED: Mutex<[Option<Instant>; VENC_MAX_CHN_NUMS as usize]> =
    Mutex::new([None; VENC_MAX_CHN_NUMS as usize]);

/// A thread that waits for ever on a channel that is destroyed under it is not told for so long.
/// Programs cancel the thread next, as `sample_venc.c` does, and are not ready for an answer.
pub(super) const LAST_WAIT: Duration = Duration::from_millis(200);

/// A picture in the chip's memory.
struct Picture {
    planes: [(NonNull<u8>, usize, usize); 2],
    /// The VB block it lies in, in use until the picture is encoded; none if the memory is not VB.
    _block: Option<Block>,
}

// SAFETY: the pointers are into the mapping that lives as long as the process; that the program
// leaves a frame alone while the encoder has it is the ABI's rule.
unsafe impl Send for Picture {}
// SAFETY: as above; nobody writes through them.
unsafe impl Sync for Picture {}

impl FrameData for Picture {
    fn plane(&self, plane: usize) -> Option<(&[u8], usize)> {
        let (at, len, stride) = *self.planes.get(plane)?;
        // SAFETY: the range was checked when the picture was taken.
        Some((unsafe { slice::from_raw_parts(at.as_ptr(), len) }, stride))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn pixel_format(raw: u32) -> Option<PixelFormat> {
    match raw {
        // The SDK's camera samples use both names for NV12.
        PIXEL_FORMAT_YUV_SEMIPLANAR_420 | PIXEL_FORMAT_YVU_SEMIPLANAR_420 => {
            Some(PixelFormat::Nv12)
        }
        PIXEL_FORMAT_ARGB_8888 => Some(PixelFormat::Argb),
        PIXEL_FORMAT_BGRA_8888 => Some(PixelFormat::Bgra),
        PIXEL_FORMAT_UYVY_PACKAGE_422 => Some(PixelFormat::Uyvy),
        _ => None,
    }
}

impl Picture {
    fn take(info: &k_video_frame, format: PixelFormat) -> Result<Self, i32> {
        let mut planes = [(NonNull::dangling(), 0, 0); 2];
        for plane in 0..format.planes() {
            let row = format.row_bytes(plane, info.width);
            let rows = format.rows(plane, info.height);
            let stride = match info.stride[plane] as usize {
                0 => row,
                given => given,
            };
            if stride < row {
                return Err(ILLEGAL_PARAM);
            }
            let physical = info.phys_addr[plane];
            // The manual's limit on the start of planes.
            if !physical.is_multiple_of(4096) {
                return Err(BADADDR);
            }
            let len = stride * (rows - 1) + row;
            let at = memory::map(physical, len as u64).ok_or(BADADDR)?;
            planes[plane] = (at, len, stride);
        }
        Ok(Self {
            planes,
            _block: Block::share(info.phys_addr[0]),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Created,
    Started,
    Stopped,
    Destroyed,
}

/// A pack in a stream buffer.
pub(super) struct Stored {
    pub(super) block: Block,
    pub(super) pack: k_venc_pack,
    /// Packs of the same frame that follow.
    pub(super) followers: u32,
}

/// What the program set between creating and starting.
#[derive(Clone, Copy)]
pub(super) struct Params {
    pub(super) rotation: u32,
    pub(super) mirror: u32,
    pub(super) idr_enabled: bool,
    pub(super) dblk: bool,
    pub(super) sao: k_venc_h265_sao,
    pub(super) h264_entropy: k_venc_h264_entropy,
    pub(super) h265_entropy: k_venc_h265_entropy,
}

/// The changing half of a channel, written by the program's threads, the camera and the encoder's
/// thread.
pub(super) struct Inner {
    pub(super) state: State,
    pub(super) params: Params,
    pub(super) input: VecDeque<Frame>,
    /// A frame is with the encoder.
    pub(super) encoding: bool,
    pub(super) idr_wanted: bool,
    pub(super) output: VecDeque<Stored>,
    pub(super) held: Vec<Stored>,
    pub(super) free: Vec<Block>,
    /// Accumulates dst_frame_rate to drop frames by.
    pub(super) frame_credit: u32,
    pub(super) encoded: u32,
    pub(super) released_pts: u64,
    pub(super) failure: Option<i32>,
}

pub(super) struct Venc {
    pub(super) number: u32,
    pub(super) attr: ChannelAttr,
    pub(super) source_rate: u32,
    pub(super) target_rate: u32,
    pub(super) inner: Mutex<Inner>,
    pub(super) changed: Condvar,
    pub(super) thread: Mutex<Option<JoinHandle<()>>>,
}

pub(super) type Table = [Option<Arc<Venc>>; VENC_MAX_CHN_NUMS as usize];

pub(super) static CHANNELS: Mutex<Table> = Mutex::new([const { None }; VENC_MAX_CHN_NUMS as usize]);

pub(super) fn channel(number: u32) -> Result<Arc<Venc>, i32> {
    lock(&CHANNELS)
        .get(number as usize)
        .ok_or(INVALID_CHNID)?
        .clone()
        .ok_or(UNEXIST)
}

/// The union's member that `rc_mode` names; all members are whole numbers.
fn rate(attr: &k_venc_rc_attr) -> Result<(RateControl, u32, u32, u32), i32> {
    // SAFETY: every member of the union is made of k_u32s, for which any bits are valid.
    unsafe {
        match attr.rc_mode {
            K_VENC_RC_MODE_CBR => {
                let cbr = attr.u.cbr;
                if cbr.stats_time > 60 {
                    return Err(ILLEGAL_PARAM);
                }
                let rate = RateControl::Cbr {
                    bitrate: cbr.bit_rate,
                };
                Ok((rate, cbr.gop, cbr.src_frame_rate, cbr.dst_frame_rate))
            }
            K_VENC_RC_MODE_VBR => {
                let vbr = attr.u.vbr;
                if vbr.stats_time > 60 {
                    return Err(ILLEGAL_PARAM);
                }
                let rate = RateControl::Vbr {
                    bitrate: vbr.bit_rate,
                    max_bitrate: vbr.max_bit_rate,
                };
                Ok((rate, vbr.gop, vbr.src_frame_rate, vbr.dst_frame_rate))
            }
            K_VENC_RC_MODE_FIXQP => {
                let fixed = attr.u.fixqp;
                let rate = RateControl::FixQp {
                    i: fixed.i_qp,
                    p: fixed.p_qp,
                };
                Ok((rate, fixed.gop, fixed.src_frame_rate, fixed.dst_frame_rate))
            }
            K_VENC_RC_MODE_MJPEG_FIXQP => {
                let fixed = attr.u.mjpeg_fixqp;
                let rate = RateControl::JpegQuality {
                    factor: fixed.q_factor,
                };
                Ok((rate, 1, fixed.src_frame_rate, fixed.dst_frame_rate))
            }
            _ => Err(ILLEGAL_PARAM),
        }
    }
}

/// Where a channel's stream buffers come from.
pub(super) enum StreamBuffers {
    /// So many of such a size, of the module's or the common pools.
    Common { size: u32, count: u32 },
    /// A pool that was attached, and how many of it are used.
    Attached(Attached),
}

/// A pool that is attached to a channel that is to be created.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attached {
    pub(super) pool: u32,
    pub(super) count: usize,
}

impl StreamBuffers {
    fn take(&self) -> Result<Vec<Block>, i32> {
        match self {
            Self::Common { size: 0, .. } => Err(ILLEGAL_PARAM),
            Self::Common { size, count } => {
                let blocks: Vec<Block> = (0..*count)
                    .map_while(|_| Block::take(VB_UID_VENC, (*size).into()))
                    .collect();
                if blocks.len() < *count as usize {
                    return Err(NOBUF);
                }
                Ok(blocks)
            }
            Self::Attached(Attached { pool, count }) => Block::take_of(*pool, *count)
                .filter(|blocks| !blocks.is_empty())
                .ok_or(NOBUF),
        }
    }
}

impl Venc {
    pub(super) fn create(
        number: u32,
        venc: &k_venc_attr_pooled,
        rc_attr: &k_venc_rc_attr,
        buffers: &StreamBuffers,
    ) -> Result<Self, i32> {
        let codec = match venc.type_ {
            K_PT_H264 => Codec::H264,
            K_PT_H265 => Codec::H265,
            K_PT_JPEG => Codec::Jpeg,
            _ => return Err(NOT_SUPPORT),
        };
        let profile = match (codec, venc.profile) {
            (Codec::Jpeg, _) => Profile::None,
            (_, VENC_PROFILE_H264_BASELINE) => Profile::H264Baseline,
            (_, VENC_PROFILE_H264_MAIN) => Profile::H264Main,
            (_, VENC_PROFILE_H264_HIGH) => Profile::H264High,
            (_, VENC_PROFILE_H264_HIGH_10) => Profile::H264High10,
            (_, VENC_PROFILE_H265_MAIN) => Profile::H265Main,
            (_, VENC_PROFILE_H265_MAIN_10) => Profile::H265Main10,
            _ => return Err(ILLEGAL_PARAM),
        };
        let (rate, gop, source_rate, target_rate) = rate(rc_attr)?;
        let default_rate = |rate: u32| if rate == 0 { 30 } else { rate };
        let (source_rate, target_rate) = (default_rate(source_rate), default_rate(target_rate));
        let mut attr = ChannelAttr::new(codec, profile, venc.pic_width, venc.pic_height);
        attr.rate = rate;
        attr.gop = if gop == 0 { DEFAULT_GOP } else { gop };
        attr.framerate = (target_rate, 1);
        if let StreamBuffers::Common { count, .. } = buffers {
            attr.stream_buffers = *count;
        }
        attr.validate()
            .map_err(|error| error.code().map_or(ILLEGAL_PARAM, Code::raw))?;
        if target_rate > source_rate {
            return Err(ILLEGAL_PARAM);
        }
        let free = buffers.take()?;
        attr.stream_buffers = free.len() as u32;
        Ok(Self {
            number,
            attr,
            source_rate,
            target_rate,
            inner: Mutex::new(Inner {
                state: State::Created,
                params: Params {
                    rotation: K_VPU_ROTATION_0,
                    mirror: 0,
                    idr_enabled: false,
                    dblk: true,
                    sao: k_venc_h265_sao {
                        slice_sao_luma_flag: 1,
                        slice_sao_chroma_flag: 1,
                    },
                    h264_entropy: k_venc_h264_entropy {
                        entropy_coding_mode: if profile == Profile::H264Baseline {
                            ENTROPY_MODE_CAVLC
                        } else {
                            ENTROPY_MODE_CABAC
                        },
                        cabac_init_idc: 0,
                    },
                    h265_entropy: k_venc_h265_entropy::default(),
                },
                input: VecDeque::new(),
                encoding: false,
                idr_wanted: false,
                output: VecDeque::new(),
                held: Vec::new(),
                free,
                frame_credit: 0,
                encoded: 0,
                released_pts: 0,
                failure: None,
            }),
            changed: Condvar::new(),
            thread: Mutex::new(None),
        })
    }

    pub(super) fn wait<'a>(
        &self,
        inner: MutexGuard<'a, Inner>,
        limit: Duration,
    ) -> MutexGuard<'a, Inner> {
        self.changed
            .wait_timeout(inner, limit)
            .unwrap_or_else(PoisonError::into_inner)
            .0
    }

    /// The attributes with what was set since, for pictures of `format`.
    fn attr_for(&self, params: &Params, format: PixelFormat) -> ChannelAttr {
        let mut attr = self.attr;
        attr.format = format;
        attr.rotation = match params.rotation {
            K_VPU_ROTATION_90 => Rotation::Quarter,
            K_VPU_ROTATION_180 => Rotation::Half,
            K_VPU_ROTATION_270 => Rotation::ThreeQuarters,
            _ => Rotation::None,
        };
        attr.mirror = match params.mirror {
            K_VENC_MIRROR_HORI => Mirror::Horizontal,
            K_VENC_MIRROR_VERT => Mirror::Vertical,
            _ => Mirror::None,
        };
        attr.deblock = params.dblk;
        attr.sao = params.sao.slice_sao_luma_flag != 0 || params.sao.slice_sao_chroma_flag != 0;
        attr.entropy = if params.h264_entropy.entropy_coding_mode == ENTROPY_MODE_CAVLC {
            Entropy::Cavlc
        } else {
            Entropy::Cabac
        };
        attr
    }

    fn open(&self, params: &Params, format: PixelFormat) -> Result<Box<dyn Channel>, Error> {
        let attr = self.attr_for(params, format);
        let device = crate::encoder()?;
        let mut encoder = device.create_channel(self.number, &attr)?;
        encoder.start()?;
        for sentence in encoder.unmapped() {
            log::warn!("channel {}: {sentence}", self.number);
        }
        Ok(encoder)
    }

    /// The encoder's thread: frames in, packs out, until the channel is destroyed.
    fn run(&self, mut encoder: Box<dyn Channel>, mut format: PixelFormat) {
        let mut inner = lock(&self.inner);
        loop {
            while inner.input.is_empty() && inner.state != State::Destroyed {
                inner = self
                    .changed
                    .wait(inner)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if inner.state == State::Destroyed {
                return;
            }
            let Some(frame) = inner.input.pop_front() else {
                continue;
            };
            inner.encoding = true;
            let params = inner.params;
            let idr = std::mem::take(&mut inner.idr_wanted);
            self.changed.notify_all();
            drop(inner);

            let result = self.encode(&mut encoder, &mut format, &params, idr, &frame);
            drop(frame);

            inner = lock(&self.inner);
            inner.encoding = false;
            if let Err(error) = result {
                log::error!("channel {}: {error}", self.number);
                inner.failure = Some(error.code().map_or(NOTREADY, Code::raw));
            }
            self.changed.notify_all();
        }
    }

    fn encode(
        &self,
        encoder: &mut Box<dyn Channel>,
        format: &mut PixelFormat,
        params: &Params,
        idr: bool,
        frame: &Frame,
    ) -> Result<(), Error> {
        if frame.format != *format {
            *encoder = self.open(params, frame.format)?;
            *format = frame.format;
        }
        if idr {
            encoder.request_idr()?;
        }
        encoder.send_frame(frame, Duration::ZERO)?;
        // An encoder that delivers later has its streams taken with a later frame.
        let limit = if encoder.delay() == 0 {
            k230_venc::STUCK_AFTER
        } else {
            Duration::ZERO
        };
        match encoder.get_stream(limit) {
            Ok(stream) => {
                self.store(&stream.packs, stream.data.bytes(), stream.pts);
                Ok(())
            }
            Err(error) if error.is_transient() && limit.is_zero() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Puts a frame's packs into stream buffers, waiting for free ones.
    fn store(&self, packs: &[Pack], mut bytes: &[u8], pts: u64) {
        let mut stored = Vec::with_capacity(packs.len());
        for (n, pack) in packs.iter().enumerate() {
            let (data, rest) = bytes.split_at(pack.len.min(bytes.len()));
            bytes = rest;
            let Some(block) = self.stream_buffer() else {
                return;
            };
            let Some(at) = memory::map(block.physical(), data.len() as u64)
                .filter(|_| data.len() as u64 <= block.size())
            else {
                log::error!(
                    "channel {}: a pack of {} bytes is larger than a stream buffer of {}; the \
                     frame is lost",
                    self.number,
                    data.len(),
                    block.size()
                );
                let mut inner = lock(&self.inner);
                inner.free.push(block);
                inner
                    .free
                    .extend(stored.into_iter().map(|s: Stored| s.block));
                inner.idr_wanted = true;
                return;
            };
            // SAFETY: the block is ours alone and long enough.
            unsafe { slice::from_raw_parts_mut(at.as_ptr(), data.len()) }.copy_from_slice(data);
            stored.push(Stored {
                pack: k_venc_pack {
                    phys_addr: block.physical(),
                    len: data.len() as u32,
                    pts,
                    type_: match pack.kind {
                        PackKind::Header => K_VENC_HEADER,
                        PackKind::I => K_VENC_I_FRAME,
                        PackKind::P => K_VENC_P_FRAME,
                    },
                },
                block,
                followers: (packs.len() - 1 - n) as u32,
            });
            if self.attr.stream_buffers == 1 {
                // With one buffer the packs of a frame go out one by one.
                let mut inner = lock(&self.inner);
                inner
                    .output
                    .extend(stored.drain(..).map(|s| Stored { followers: 0, ..s }));
                self.changed.notify_all();
            }
        }
        let mut inner = lock(&self.inner);
        inner.output.extend(stored);
        inner.encoded += 1;
        // With the packs there the frame is no longer inside, whenever the thread gets to say so.
        inner.encoding = false;
        self.changed.notify_all();
    }

    fn stream_buffer(&self) -> Option<Block> {
        let mut inner = lock(&self.inner);
        loop {
            if inner.state == State::Destroyed {
                return None;
            }
            if let Some(block) = inner.free.pop() {
                return Some(block);
            }
            inner = self
                .changed
                .wait(inner)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(super) fn start(self: &Arc<Self>) -> Result<(), i32> {
        let mut inner = lock(&self.inner);
        match inner.state {
            State::Created => {}
            State::Stopped => {
                inner.state = State::Started;
                inner.idr_wanted = true;
                return Ok(());
            }
            State::Destroyed => return Err(UNEXIST),
            _ => return Err(NOT_PERM),
        }
        let params = inner.params;
        drop(inner);

        let format = PixelFormat::Nv12;
        let encoder = self.open(&params, format).map_err(|error| {
            log::error!("channel {}: {error}", self.number);
            error.code().map_or(NOT_SUPPORT, Code::raw)
        })?;
        let channel = self.clone();
        let thread = thread::Builder::new()
            .name(format!("venc-sim{}", self.number))
            .spawn(move || channel.run(encoder, format))
            .map_err(|_| code(12))?;
        *lock(&self.thread) = Some(thread);
        let mut inner = lock(&self.inner);
        if inner.state != State::Created {
            return Err(NOT_PERM);
        }
        inner.state = State::Started;
        Ok(())
    }

    /// Takes a frame if there is room. `None` if there is none.
    pub(super) fn offer(&self, frame: &Frame) -> Option<Result<(), i32>> {
        let mut inner = lock(&self.inner);
        match inner.state {
            State::Started => {}
            State::Destroyed => return Some(Err(UNEXIST)),
            _ => return Some(Err(NOT_PERM)),
        }
        if let Some(failure) = inner.failure.take() {
            return Some(Err(failure));
        }
        if inner.input.len() >= QUEUE {
            return None;
        }
        inner.frame_credit += self.target_rate;
        if inner.frame_credit < self.source_rate {
            return Some(Ok(()));
        }
        inner.frame_credit -= self.source_rate;
        inner.input.push_back(frame.clone());
        self.changed.notify_all();
        Some(Ok(()))
    }

    pub(super) fn frame(&self, info: &k_video_frame) -> Result<Frame, i32> {
        if (info.width, info.height) != (self.attr.width, self.attr.height) {
            return Err(ILLEGAL_PARAM);
        }
        let format = pixel_format(info.pixel_format).ok_or_else(|| {
            if info.pixel_format == PIXEL_FORMAT_NV12_BEFORE_1_0 {
                log::error!(
                    "pixel format 0x1e is NV12 in the headers of k230_sdk v0.8 and v0.9 and another \
                     since; compile the program with the headers of v1.0 or newer"
                );
            }
            NOT_SUPPORT
        })?;
        if format == PixelFormat::Uyvy && self.attr.codec != Codec::Jpeg {
            return Err(NOT_SUPPORT);
        }
        Ok(Frame {
            format,
            width: info.width,
            height: info.height,
            pts: info.pts,
            regions: Vec::new(),
            data: Arc::new(Picture::take(info, format)?),
        })
    }

    /// Sets a parameter, which a started channel does not take.
    pub(super) fn set(&self, apply: impl FnOnce(&mut Params)) -> Result<(), i32> {
        let mut inner = lock(&self.inner);
        if inner.state == State::Started {
            return Err(BUSY);
        }
        apply(&mut inner.params);
        Ok(())
    }

    pub(super) fn params(&self) -> Params {
        lock(&self.inner).params
    }
}
