// SPDX-License-Identifier: MIT OR Apache-2.0
//! A channel on the thread that makes its calls.

use std::{
    collections::VecDeque,
    ptr,
    sync::{Arc, PoisonError},
};

use super::{
    attributes::{channel_attr, pixel_format, pooled_attr},
    check,
    memory::{Block, Layout, Mapping},
};
use crate::{
    ChannelAttr, Code, Codec, Entropy, Error, Frame, Mirror, Pack, PackKind, Profile, Rotation,
    STUCK_AFTER, Stream,
    abi::*,
    library::{Library, Pooled, VideoBuffers},
};

/// Packs asked for at once: the SDK's `KD_VENC_MAX_FRAME_PACKCOUNT`.
const MAX_PACKS: usize = 12;

/// VB blocks for input: one being encoded, one being filled.
const INPUT_BLOCKS: u32 = 2;

/// Stream blocks of the common pool, when we are the ones to configure it: four channels of the
/// samples' 15, each large enough for 1080p. Pools cannot grow once there are users.
const COMMON_BLOCKS: u32 = 60;
const COMMON_BLOCK_SIZE: u64 = (1920u64 * 1080 / 4 * 3).next_multiple_of(4096);

/// Calls a function of the library, which answers 0 or a code.
macro_rules! call {
    ($self:ident, $name:ident($($argument:expr),*)) => {
        // SAFETY: every function that is called this way takes plain numbers, and references that
        // are valid for the call.
        check(
            unsafe { ($self.library.functions.$name)($($argument),*) },
            stringify!($name),
        )
    };
}

/// The channel on its own thread.
pub(super) struct Inside {
    library: Arc<Library>,
    number: u32,
    attr: ChannelAttr,
    layout: Layout,
    created: bool,
    started: bool,
    uses_video_buffers: bool,
    /// The library gave us the number, and has it back.
    requested: bool,
    /// The pool of the stream buffers that is attached to the channel.
    attached: Option<u32>,
    pool: Option<u32>,
    /// Free blocks, and those whose frame is inside, oldest first.
    free: Vec<Block>,
    sent: VecDeque<Block>,
    /// Packs of the frame that is not complete yet.
    partial: Partial,
    complete: VecDeque<Stream>,
}

#[derive(Default)]
struct Partial {
    packs: Vec<Pack>,
    data: Vec<u8>,
}

impl Inside {
    pub(super) fn new(library: Arc<Library>, number: u32, attr: ChannelAttr) -> Self {
        Self {
            library,
            number,
            attr,
            layout: Layout::of(&attr),
            created: false,
            started: false,
            uses_video_buffers: false,
            requested: false,
            attached: None,
            pool: None,
            free: Vec::new(),
            sent: VecDeque::new(),
            partial: Partial::default(),
            complete: VecDeque::new(),
        }
    }

    fn video_buffers(&self) -> std::sync::MutexGuard<'_, VideoBuffers> {
        self.library
            .video_buffers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Initialises the video buffers unless someone has.
    fn init_video_buffers(&mut self) -> Result<(), Error> {
        let mut buffers = self.video_buffers();
        if buffers.users == 0 {
            buffers.ours = self.configure_video_buffers()?;
        }
        buffers.users += 1;
        drop(buffers);
        self.uses_video_buffers = true;
        Ok(())
    }

    /// Sets up the common pool that stream buffers come from: with room for other channels, else
    /// for this one alone. False if the program that we are in has done so already; its pools are
    /// what there is.
    fn configure_video_buffers(&self) -> Result<bool, Error> {
        let own = (
            u64::from(self.attr.stream_buffer_size()),
            self.attr.stream_buffers,
        );
        let roomy = (
            own.0.max(COMMON_BLOCK_SIZE),
            (own.1 * 4).clamp(COMMON_BLOCKS, VB_SINGLE_MAX_BLKS),
        );
        // Stream buffers that are a pool's of their own leave the common one unused.
        let pools = match self.library.pooled {
            Some(_) => [(4096, 1); 2],
            None => [roomy, own],
        };
        let mut result = 0;
        for (blk_size, blk_cnt) in pools {
            let mut config = k_vb_config::ZERO;
            config.max_pool_cnt = 1;
            config.comm_pool[0].blk_size = blk_size;
            config.comm_pool[0].blk_cnt = blk_cnt;
            config.comm_pool[0].mode = VB_REMAP_MODE_NOCACHE;
            if call!(self, kd_mpi_vb_set_config(&config)).is_err() {
                return Ok(false);
            }
            // SAFETY: no arguments.
            result = unsafe { (self.library.functions.kd_mpi_vb_init)() };
            if result == 0 {
                return Ok(true);
            }
        }
        Err(Error::refused(
            Code::NoMem,
            format!("kd_mpi_vb_init answered 0x{result:08x}"),
        ))
    }

    pub(super) fn create(&mut self) -> Result<(), Error> {
        self.init_video_buffers()?;
        let library = self.library.clone();
        match &library.pooled {
            Some(pooled) => {
                self.attach_stream_buffers(pooled)?;
                let mut attr = pooled_attr(&self.attr);
                let attr = ptr::from_mut(&mut attr).cast();
                call!(self, kd_mpi_venc_create_chn(self.number, attr))?;
            }
            None => {
                let mut attr = channel_attr(&self.attr);
                let attr = ptr::from_mut(&mut attr).cast();
                call!(self, kd_mpi_venc_create_chn(self.number, attr))?;
            }
        }
        self.created = true;
        self.set_parameters()?;
        self.create_input_pool()
    }

    /// Requests a channel and attaches a pool of stream buffers to it, in CanMV's order
    /// (`Encoder.Create` of its `vencoder.py`).
    fn attach_stream_buffers(&mut self, pooled: &Pooled) -> Result<(), Error> {
        if let Some(channels) = &pooled.channels {
            let mut number = self.number;
            // SAFETY: a number to write to.
            check(
                unsafe { (channels.request)(&mut number) },
                "kd_mpi_venc_request_chn",
            )?;
            self.number = number;
            self.requested = true;
        }
        let (size, count) = (self.attr.stream_buffer_size(), self.attr.stream_buffers);
        let pool = self.create_pool(size.into(), count)?;
        let answer = pooled.attach(self.number, pool, count);
        if let Err(error) = check(answer, "kd_mpi_venc_attach_vb_pool") {
            let _ = call!(self, kd_mpi_vb_destory_pool(pool));
            return Err(error);
        }
        self.attached = Some(pool);
        Ok(())
    }

    /// Takes the pool off a stopped channel. It is destroyed when the channel is.
    fn detach_stream_buffers(&self) {
        if let (Some(pooled), Some(_)) = (&self.library.pooled, self.attached) {
            // SAFETY: plain numbers.
            unsafe { (pooled.detach)(self.number) };
        }
    }

    /// Gives the channel's number and its stream buffers back.
    fn release_channel(&mut self) {
        if let Some(pool) = self.attached.take() {
            let _ = call!(self, kd_mpi_vb_destory_pool(pool));
        }
        if std::mem::take(&mut self.requested)
            && let Some(channels) = self.library.pooled.as_ref().and_then(|p| p.channels)
        {
            // SAFETY: plain numbers.
            unsafe { (channels.release)(self.number) };
        }
    }

    fn create_pool(&self, blk_size: u64, blk_cnt: u32) -> Result<u32, Error> {
        let mut config = k_vb_pool_config::ZERO;
        config.blk_size = blk_size;
        config.blk_cnt = blk_cnt;
        config.mode = VB_REMAP_MODE_NOCACHE;
        // SAFETY: the configuration is valid for the call, which copies it.
        let pool = unsafe { (self.library.functions.kd_mpi_vb_create_pool)(&mut config) } as u32;
        if pool as usize >= VB_MAX_POOLS {
            return Err(Error::refused(Code::NoBuf, "kd_mpi_vb_create_pool"));
        }
        Ok(pool)
    }

    /// What is set between creating and starting.
    fn set_parameters(&self) -> Result<(), Error> {
        let number = self.number;
        let mirror = match self.attr.mirror {
            Mirror::None => None,
            Mirror::Horizontal => Some(K_VENC_MIRROR_HORI),
            Mirror::Vertical => Some(K_VENC_MIRROR_VERT),
        };
        if let Some(mirror) = mirror {
            call!(self, kd_mpi_venc_set_mirror(number, mirror))?;
        }
        let rotation = match self.attr.rotation {
            Rotation::None => K_VPU_ROTATION_0,
            Rotation::Quarter => K_VPU_ROTATION_90,
            Rotation::Half => K_VPU_ROTATION_180,
            Rotation::ThreeQuarters => K_VPU_ROTATION_270,
        };
        if rotation != K_VPU_ROTATION_0 {
            call!(self, kd_mpi_venc_set_rotation(number, rotation))?;
        }
        if self.attr.codec != Codec::Jpeg {
            call!(self, kd_mpi_venc_enable_idr(number, 1))?;
            call!(self, kd_mpi_venc_set_dblk(number, self.attr.deblock.into()))?;
        }
        match self.attr.codec {
            Codec::H264 => {
                let entropy = k_venc_h264_entropy {
                    entropy_coding_mode: match self.attr.entropy {
                        Entropy::Cabac if self.attr.profile != Profile::H264Baseline => {
                            ENTROPY_MODE_CABAC
                        }
                        _ => ENTROPY_MODE_CAVLC,
                    },
                    cabac_init_idc: 0,
                };
                call!(self, kd_mpi_venc_set_h264_entropy(number, &entropy))
            }
            Codec::H265 => {
                let sao = k_venc_h265_sao {
                    slice_sao_luma_flag: self.attr.sao.into(),
                    slice_sao_chroma_flag: self.attr.sao.into(),
                };
                call!(self, kd_mpi_venc_set_h265_sao(number, &sao))
            }
            Codec::Jpeg => Ok(()),
        }
    }

    fn create_input_pool(&mut self) -> Result<(), Error> {
        let pool = self.create_pool(self.layout.size as u64, INPUT_BLOCKS)?;
        self.pool = Some(pool);
        for _ in 0..INPUT_BLOCKS {
            let block = Block::get(&self.library, pool, self.layout.size as u64)?;
            self.free.push(block);
        }
        Ok(())
    }

    pub(super) fn start(&mut self) -> Result<(), Error> {
        if !self.created {
            self.create()?;
        }
        call!(self, kd_mpi_venc_start_chn(self.number))?;
        self.started = true;
        Ok(())
    }

    pub(super) fn send(&mut self, frame: &Frame, ms: i32) -> Result<(), Error> {
        frame.fits(&self.attr)?;
        let Some(block) = self.free.pop() else {
            return Err(Error::refused(Code::BufFull, "an input block"));
        };
        let result = self.fill_and_send(&block, frame, ms);
        match result {
            Ok(()) => self.sent.push_back(block),
            Err(_) => self.free.push(block),
        }
        result
    }

    fn fill_and_send(&self, block: &Block, frame: &Frame, ms: i32) -> Result<(), Error> {
        let mut info = k_video_frame_info::ZERO;
        let mut mapping = Mapping::new(&self.library, block.physical, self.layout.size as u32)?;
        for plane in 0..frame.format.planes() {
            let (bytes, stride) = frame
                .data
                .plane(plane)
                .ok_or_else(|| Error::refused(Code::BadAddr, "reading the frame"))?;
            let rows = frame.format.rows(plane, frame.height);
            let row = frame.format.row_bytes(plane, frame.width);
            if stride < row || bytes.len() < stride * rows.saturating_sub(1) + row {
                return Err(Error::refused(Code::BadAddr, "a plane that is too short"));
            }
            let (to, to_stride) = (self.layout.offsets[plane], self.layout.strides[plane]);
            let target = &mut mapping.bytes_mut()[to..to + to_stride * rows];
            if stride == to_stride && bytes.len() >= target.len() {
                target.copy_from_slice(&bytes[..target.len()]);
            } else {
                for (to, from) in target.chunks_mut(to_stride).zip(bytes.chunks(stride)) {
                    to[..row].copy_from_slice(&from[..row]);
                }
            }
            info.v_frame.phys_addr[plane] = block.physical + to as u64;
            info.v_frame.virt_addr[plane] = 0;
            info.v_frame.stride[plane] = to_stride as u32;
        }
        drop(mapping);
        info.v_frame.width = frame.width;
        info.v_frame.height = frame.height;
        info.v_frame.field = VIDEO_FIELD_FRAME;
        info.v_frame.pixel_format = pixel_format(frame.format)
            .ok_or_else(|| Error::refused(Code::NotSupport, format!("{:?}", frame.format)))?;
        info.v_frame.pts = frame.pts;
        info.pool_id = self.pool.unwrap_or(VB_INVALID_POOLID);
        info.mod_id = K_ID_VENC;
        // The block stays ours until the frame's stream has been fetched.
        let sent = call!(self, kd_mpi_venc_send_frame(self.number, &mut info, ms));
        // The channel took its attributes, so it is the picture that is not understood.
        sent.map_err(|error| match error {
            Error::Refused {
                code: code @ (Code::NotSupport | Code::IllegalParam),
                what,
            } => Error::refused(
                code,
                format!(
                    "{what}: {:?} pictures, k_pixel_format {}; the libraries of k230_sdk v0.8 and \
                     v0.9 have other numbers for formats, one of v1.0 or newer is needed",
                    frame.format, info.v_frame.pixel_format
                ),
            ),
            error => error,
        })
    }

    pub(super) fn get(&mut self, ms: i32) -> Result<Stream, Error> {
        loop {
            if let Some(stream) = self.complete.pop_front() {
                return Ok(stream);
            }
            self.fetch(ms)?;
        }
    }

    /// Fetches whatever packs there are. A header pack may come alone.
    fn fetch(&mut self, ms: i32) -> Result<(), Error> {
        let mut packs = [k_venc_pack::default(); MAX_PACKS];
        let mut stream = k_venc_stream {
            pack: packs.as_mut_ptr(),
            pack_cnt: MAX_PACKS as u32,
        };
        call!(self, kd_mpi_venc_get_stream(self.number, &mut stream, ms))?;
        let count = stream.pack_cnt as usize;
        let taken = match packs.get(..count) {
            Some(packs) => packs.iter().try_for_each(|pack| self.take(pack)),
            // What lies behind the array is not the library's to fill. What is in it goes back.
            None => Err(Error::refused(
                Code::BadAddr,
                format!("kd_mpi_venc_get_stream gave {count} packs where {MAX_PACKS} have room"),
            )),
        };
        stream.pack = packs.as_mut_ptr();
        stream.pack_cnt = count.min(MAX_PACKS) as u32;
        let released = call!(self, kd_mpi_venc_release_stream(self.number, &mut stream));
        taken?;
        released?;
        if count == 0 {
            return Err(Error::refused(Code::BufEmpty, "kd_mpi_venc_get_stream"));
        }
        Ok(())
    }

    fn take(&mut self, pack: &k_venc_pack) -> Result<(), Error> {
        let kind = match pack.type_ {
            K_VENC_HEADER => PackKind::Header,
            K_VENC_I_FRAME => PackKind::I,
            _ => PackKind::P,
        };
        let mapping = Mapping::new(&self.library, pack.phys_addr, pack.len)?;
        self.partial.data.extend_from_slice(mapping.bytes());
        drop(mapping);
        self.partial.packs.push(Pack {
            kind,
            len: pack.len as usize,
        });
        if kind != PackKind::Header {
            let done = std::mem::take(&mut self.partial);
            self.complete.push_back(Stream {
                packs: done.packs,
                pts: pack.pts,
                data: Box::new(done.data),
            });
            self.free.extend(self.sent.pop_front());
        }
        Ok(())
    }

    pub(super) fn request_idr(&mut self) -> Result<(), Error> {
        if self.attr.codec == Codec::Jpeg {
            return Ok(());
        }
        call!(self, kd_mpi_venc_request_idr(self.number))
    }

    /// Fetches what is inside, then stops: the manual keeps the stream buffers of a stopped
    /// channel, but says nothing of frames that are being encoded.
    pub(super) fn stop(&mut self) -> Result<(), Error> {
        if !self.started {
            return Ok(());
        }
        let deadline = std::time::Instant::now() + STUCK_AFTER / 2;
        while !self.sent.is_empty() && std::time::Instant::now() < deadline {
            match self.fetch(100) {
                Err(error) if !error.is_transient() => return Err(error),
                _ => {}
            }
        }
        call!(self, kd_mpi_venc_stop_chn(self.number))?;
        self.started = false;
        // The manual does not say that a stopped channel starts again; start() makes a new one.
        self.destroy_channel();
        Ok(())
    }

    fn destroy_channel(&mut self) {
        self.detach_stream_buffers();
        if self.created {
            self.created = false;
            let _ = call!(self, kd_mpi_venc_destroy_chn(self.number));
        }
        self.release_channel();
        self.free.clear();
        self.sent.clear();
        self.partial = Partial::default();
        if let Some(pool) = self.pool.take() {
            let _ = call!(self, kd_mpi_vb_destory_pool(pool));
        }
        if self.uses_video_buffers {
            self.uses_video_buffers = false;
            let mut buffers = self.video_buffers();
            buffers.users -= 1;
            if buffers.users == 0 && buffers.ours {
                buffers.ours = false;
                let _ = call!(self, kd_mpi_vb_exit());
            }
        }
    }

    pub(super) fn destroy(&mut self) {
        if self.started {
            self.started = false;
            let _ = call!(self, kd_mpi_venc_stop_chn(self.number));
        }
        self.destroy_channel();
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.destroy();
    }
}
