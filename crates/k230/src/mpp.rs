// SPDX-License-Identifier: MIT OR Apache-2.0
//! The encoder behind the MPP's C library.
//!
//! Each channel has a thread on which every call into the library is made, and whoever waits for
//! one waits [`STUCK_AFTER`](super::STUCK_AFTER) at most: a call that hangs costs a thread and not
//! the program. A frame is copied once, into a VB block, as VENC reads nothing but physically
//! contiguous planes on 4 KiB boundaries. A stream is copied once, out of the mapped packs, and
//! released at once: the channel never waits for us, and no mapping outlives it.

use std::{
    collections::VecDeque,
    ffi::c_void,
    ptr::{self, NonNull},
    slice,
    sync::{Arc, PoisonError, mpsc},
    thread,
    time::Duration,
};

use super::{
    Channel, ChannelAttr, Code, Codec, Device, Entropy, Error, Frame, Mirror, Pack, PackKind,
    PixelFormat, Profile, RateControl, Rotation, STUCK_AFTER, Status, Stream,
    abi::*,
    library::{Library, VideoBuffers},
};

/// Packs asked for at once: the SDK's `KD_VENC_MAX_FRAME_PACKCOUNT`.
const MAX_PACKS: usize = 12;

/// VB blocks for input: one being encoded, one being filled.
const INPUT_BLOCKS: u32 = 2;

/// Stream blocks of the common pool, when we are the ones to configure it: four channels of the
/// samples' 15, each large enough for 1080p. Pools cannot grow once there are users.
const COMMON_BLOCKS: u32 = 60;
const COMMON_BLOCK_SIZE: u64 = (1920u64 * 1080 / 4 * 3).next_multiple_of(4096);

/// What a plane starts on (K230_视频编解码_API参考.md, 1.2.1.5).
const PLANE_ALIGNMENT: usize = 4096;

/// What the samples round widths up to (`VI_ALIGN_UP(width, 16)`).
const STRIDE_ALIGNMENT: usize = 16;

fn check(result: i32, call: &str) -> Result<(), Error> {
    if result == 0 {
        return Ok(());
    }
    Err(Error::refused(Code::from_raw(result), call))
}

/// The MPP's encoder.
#[derive(Debug, Clone)]
pub struct MppDevice {
    library: Arc<Library>,
}

impl MppDevice {
    /// The encoder of a loaded library.
    pub fn new(library: Arc<Library>) -> Self {
        Self { library }
    }
}

impl Device for MppDevice {
    fn describe(&self) -> String {
        self.library.path().display().to_string()
    }

    fn create_channel(&self, number: u32, attr: &ChannelAttr) -> Result<Box<dyn Channel>, Error> {
        attr.validate()?;
        let (calls, inbox) = mpsc::channel::<Call>();
        let library = self.library.clone();
        let attr = *attr;
        thread::Builder::new()
            .name(format!("venc{number}"))
            .spawn(move || {
                let mut inside = Inside::new(library, number, attr);
                while let Ok(call) = inbox.recv() {
                    call(&mut inside);
                }
            })
            .map_err(|error| Error::refused(Code::NoMem, format!("starting a thread: {error}")))?;
        let mut channel = MppChannel {
            calls,
            stuck: false,
            frames_inside: 0,
            name: self.describe(),
        };
        channel.call("kd_mpi_venc_create_chn", Inside::create)?;
        Ok(Box::new(channel))
    }
}

type Call = Box<dyn FnOnce(&mut Inside) + Send>;

/// The handle that other threads have.
struct MppChannel {
    calls: mpsc::Sender<Call>,
    stuck: bool,
    frames_inside: u32,
    name: String,
}

impl MppChannel {
    /// Runs `f` on the channel's thread.
    fn call<T: Send + 'static>(
        &mut self,
        what: &str,
        f: impl FnOnce(&mut Inside) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let stuck = || Error::Stuck {
            what: what.into(),
            after: STUCK_AFTER,
        };
        if self.stuck {
            return Err(stuck());
        }
        let (reply, answer) = mpsc::sync_channel(1);
        let call: Call = Box::new(move |inside| {
            let _ = reply.send(f(inside));
        });
        if self.calls.send(call).is_err() {
            return Err(Error::refused(Code::Unexist, what));
        }
        answer.recv_timeout(STUCK_AFTER).unwrap_or_else(|_| {
            self.stuck = true;
            Err(stuck())
        })
    }
}

fn milliseconds(limit: Duration) -> i32 {
    i32::try_from(limit.as_millis()).unwrap_or(i32::MAX)
}

impl Channel for MppChannel {
    fn start(&mut self) -> Result<(), Error> {
        self.call("kd_mpi_venc_start_chn", Inside::start)
    }

    fn send_frame(&mut self, frame: &Frame, limit: Duration) -> Result<(), Error> {
        let frame = frame.clone();
        self.call("kd_mpi_venc_send_frame", move |inside| {
            inside.send(&frame, milliseconds(limit))
        })?;
        self.frames_inside += 1;
        Ok(())
    }

    fn get_stream(&mut self, limit: Duration) -> Result<Stream, Error> {
        let stream = self.call("kd_mpi_venc_get_stream", move |inside| {
            inside.get(milliseconds(limit))
        })?;
        self.frames_inside = self.frames_inside.saturating_sub(1);
        Ok(stream)
    }

    fn query(&self) -> Status {
        Status {
            packs_ready: 0,
            frames_inside: self.frames_inside,
        }
    }

    fn request_idr(&mut self) -> Result<(), Error> {
        self.call("kd_mpi_venc_request_idr", Inside::request_idr)
    }

    fn set_rate(&mut self, _rate: RateControl, _gop: u32) -> Result<(), Error> {
        // mpi_venc_api.h has no kd_mpi_venc_set_chn_attr.
        Err(Error::refused(
            Code::NotSupport,
            "changing the rate of a created channel",
        ))
    }

    fn stop(&mut self) -> Result<(), Error> {
        self.call("kd_mpi_venc_stop_chn", Inside::stop)
    }

    fn delay(&self) -> u32 {
        0
    }

    fn describe(&self) -> String {
        self.name.clone()
    }
}

impl Drop for MppChannel {
    fn drop(&mut self) {
        // The thread ends when the sender is gone; a stuck one is left to itself.
        let _ = self.call("kd_mpi_venc_destroy_chn", |inside| {
            inside.destroy();
            Ok(())
        });
    }
}

/// Memory of the device in this process' address space.
struct Mapping<'a> {
    library: &'a Library,
    address: NonNull<u8>,
    len: u32,
}

impl<'a> Mapping<'a> {
    fn new(library: &'a Library, physical: u64, len: u32) -> Result<Self, Error> {
        // SAFETY: any address may be asked for; the library answers null for one that is not its.
        let address = unsafe { (library.functions.kd_mpi_sys_mmap)(physical, len) };
        // MAP_FAILED is what mmap itself would have said.
        match NonNull::new(address.cast::<u8>()) {
            Some(address) if address.as_ptr().addr() != usize::MAX => Ok(Self {
                library,
                address,
                len,
            }),
            _ => Err(Error::refused(Code::BadAddr, "kd_mpi_sys_mmap")),
        }
    }

    fn bytes(&self) -> &[u8] {
        // SAFETY: the library mapped `len` bytes there until the drop below, and nothing writes
        // to a stream buffer before it is released.
        unsafe { slice::from_raw_parts(self.address.as_ptr(), self.len as usize) }
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; the device does not read an input block before it is sent.
        unsafe { slice::from_raw_parts_mut(self.address.as_ptr(), self.len as usize) }
    }
}

impl Drop for Mapping<'_> {
    fn drop(&mut self) {
        // SAFETY: the address and length are those of the mapping, and no slice of it is left.
        unsafe {
            (self.library.functions.kd_mpi_sys_munmap)(
                self.address.as_ptr().cast::<c_void>(),
                self.len,
            )
        };
    }
}

/// A VB block of our input pool, given back when dropped.
struct Block {
    library: Arc<Library>,
    handle: u32,
    physical: u64,
}

impl Block {
    fn get(library: &Arc<Library>, pool: u32, size: u64) -> Result<Self, Error> {
        // SAFETY: a null name is the default memory zone.
        let handle = unsafe { (library.functions.kd_mpi_vb_get_block)(pool, size, ptr::null()) };
        if handle == VB_INVALID_HANDLE {
            return Err(Error::refused(Code::NoBuf, "kd_mpi_vb_get_block"));
        }
        // SAFETY: the handle is a block's.
        let physical = unsafe { (library.functions.kd_mpi_vb_handle_to_phyaddr)(handle) };
        Ok(Self {
            library: library.clone(),
            handle,
            physical,
        })
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        // SAFETY: the handle is ours and is given back once.
        unsafe { (self.library.functions.kd_mpi_vb_release_block)(self.handle) };
    }
}

/// Where the planes of an input picture go in a block.
struct Layout {
    strides: [usize; 2],
    offsets: [usize; 2],
    size: usize,
}

impl Layout {
    fn of(attr: &ChannelAttr) -> Self {
        let mut layout = Self {
            strides: [0; 2],
            offsets: [0; 2],
            size: 0,
        };
        for plane in 0..attr.format.planes() {
            let row = attr.format.row_bytes(plane, attr.width);
            layout.strides[plane] = row.next_multiple_of(STRIDE_ALIGNMENT);
            layout.offsets[plane] = layout.size;
            layout.size += (layout.strides[plane] * attr.format.rows(plane, attr.height))
                .next_multiple_of(PLANE_ALIGNMENT);
        }
        layout
    }
}

fn pixel_format(format: PixelFormat) -> u32 {
    match format {
        PixelFormat::Nv12 => PIXEL_FORMAT_YUV_SEMIPLANAR_420,
        PixelFormat::Argb => PIXEL_FORMAT_ARGB_8888,
        PixelFormat::Bgra => PIXEL_FORMAT_BGRA_8888,
        PixelFormat::Uyvy => PIXEL_FORMAT_UYVY_PACKAGE_422,
    }
}

fn channel_attr(attr: &ChannelAttr) -> k_venc_chn_attr {
    let fps = attr.frames_per_second();
    let (rc_mode, u) = match attr.rate {
        RateControl::Cbr { bitrate } => (
            K_VENC_RC_MODE_CBR,
            k_venc_rc_union {
                cbr: k_venc_cbr {
                    gop: attr.gop,
                    stats_time: 1,
                    src_frame_rate: fps,
                    dst_frame_rate: fps,
                    bit_rate: bitrate,
                },
            },
        ),
        RateControl::Vbr {
            bitrate,
            max_bitrate,
        } => (
            K_VENC_RC_MODE_VBR,
            k_venc_rc_union {
                vbr: k_venc_vbr {
                    gop: attr.gop,
                    stats_time: 1,
                    src_frame_rate: fps,
                    dst_frame_rate: fps,
                    max_bit_rate: max_bitrate,
                    bit_rate: bitrate,
                },
            },
        ),
        RateControl::FixQp { i, p } => (
            K_VENC_RC_MODE_FIXQP,
            k_venc_rc_union {
                fixqp: k_venc_fixqp {
                    gop: attr.gop,
                    src_frame_rate: fps,
                    dst_frame_rate: fps,
                    i_qp: i,
                    p_qp: p,
                },
            },
        ),
        RateControl::JpegQuality { factor } => (
            K_VENC_RC_MODE_MJPEG_FIXQP,
            k_venc_rc_union {
                mjpeg_fixqp: k_venc_mjpeg_fixqp {
                    src_frame_rate: fps,
                    dst_frame_rate: fps,
                    q_factor: factor,
                },
            },
        ),
    };
    k_venc_chn_attr {
        venc_attr: k_venc_attr {
            type_: match attr.codec {
                Codec::H264 => K_PT_H264,
                Codec::H265 => K_PT_H265,
                Codec::Jpeg => K_PT_JPEG,
            },
            stream_buf_size: attr.stream_buffer_size(),
            stream_buf_cnt: attr.stream_buffers,
            pic_width: attr.width,
            pic_height: attr.height,
            profile: match attr.profile {
                Profile::None => VENC_PROFILE_NONE,
                Profile::H264Baseline => VENC_PROFILE_H264_BASELINE,
                Profile::H264Main => VENC_PROFILE_H264_MAIN,
                Profile::H264High => VENC_PROFILE_H264_HIGH,
                Profile::H264High10 => VENC_PROFILE_H264_HIGH_10,
                Profile::H265Main => VENC_PROFILE_H265_MAIN,
                Profile::H265Main10 => VENC_PROFILE_H265_MAIN_10,
            },
        },
        rc_attr: k_venc_rc_attr { rc_mode, u },
    }
}

/// The channel on its own thread.
struct Inside {
    library: Arc<Library>,
    number: u32,
    attr: ChannelAttr,
    layout: Layout,
    created: bool,
    started: bool,
    uses_video_buffers: bool,
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
    fn new(library: Arc<Library>, number: u32, attr: ChannelAttr) -> Self {
        Self {
            library,
            number,
            attr,
            layout: Layout::of(&attr),
            created: false,
            started: false,
            uses_video_buffers: false,
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
        let f = &self.library.functions;
        let mut buffers = self.video_buffers();
        if buffers.users == 0 {
            let own = (
                u64::from(self.attr.stream_buffer_size()),
                self.attr.stream_buffers,
            );
            let roomy = (
                own.0.max(COMMON_BLOCK_SIZE),
                (own.1 * 4).clamp(COMMON_BLOCKS, VB_SINGLE_MAX_BLKS),
            );
            let mut result = 0;
            for (blk_size, blk_cnt) in [roomy, own] {
                let mut config = k_vb_config::ZERO;
                config.max_pool_cnt = 1;
                config.comm_pool[0].blk_size = blk_size;
                config.comm_pool[0].blk_cnt = blk_cnt;
                config.comm_pool[0].mode = VB_REMAP_MODE_NOCACHE;
                // SAFETY: the configuration is valid for the call.
                if unsafe { (f.kd_mpi_vb_set_config)(&config) } != 0 {
                    // The program that we are in has set it up already, and its pools are what
                    // there is.
                    buffers.ours = false;
                    result = 0;
                    break;
                }
                // SAFETY: no arguments.
                result = unsafe { (f.kd_mpi_vb_init)() };
                buffers.ours = result == 0;
                if result == 0 {
                    break;
                }
            }
            if result != 0 {
                drop(buffers);
                return Err(Error::refused(
                    Code::NoMem,
                    format!("kd_mpi_vb_init answered 0x{result:08x}"),
                ));
            }
        }
        buffers.users += 1;
        drop(buffers);
        self.uses_video_buffers = true;
        Ok(())
    }

    fn create(&mut self) -> Result<(), Error> {
        self.init_video_buffers()?;
        let library = self.library.clone();
        let f = &library.functions;
        let number = self.number;

        let mut attr = channel_attr(&self.attr);
        // SAFETY: the attributes are valid for the call, which copies them.
        check(
            unsafe { (f.kd_mpi_venc_create_chn)(number, &mut attr) },
            "kd_mpi_venc_create_chn",
        )?;
        self.created = true;

        // SAFETY, to the end of the function: plain numbers, and pointers valid for each call.
        unsafe {
            match self.attr.mirror {
                Mirror::None => {}
                Mirror::Horizontal => check(
                    (f.kd_mpi_venc_set_mirror)(number, K_VENC_MIRROR_HORI),
                    "kd_mpi_venc_set_mirror",
                )?,
                Mirror::Vertical => check(
                    (f.kd_mpi_venc_set_mirror)(number, K_VENC_MIRROR_VERT),
                    "kd_mpi_venc_set_mirror",
                )?,
            }
            let rotation = match self.attr.rotation {
                Rotation::None => K_VPU_ROTATION_0,
                Rotation::Quarter => K_VPU_ROTATION_90,
                Rotation::Half => K_VPU_ROTATION_180,
                Rotation::ThreeQuarters => K_VPU_ROTATION_270,
            };
            if rotation != K_VPU_ROTATION_0 {
                check(
                    (f.kd_mpi_venc_set_rotation)(number, rotation),
                    "kd_mpi_venc_set_rotation",
                )?;
            }
            if self.attr.codec != Codec::Jpeg {
                check(
                    (f.kd_mpi_venc_enable_idr)(number, 1),
                    "kd_mpi_venc_enable_idr",
                )?;
                check(
                    (f.kd_mpi_venc_set_dblk)(number, self.attr.deblock.into()),
                    "kd_mpi_venc_set_dblk",
                )?;
            }
            if self.attr.codec == Codec::H264 {
                let cabac = self.attr.entropy == Entropy::Cabac
                    && self.attr.profile != Profile::H264Baseline;
                let entropy = k_venc_h264_entropy {
                    entropy_coding_mode: if cabac {
                        ENTROPY_MODE_CABAC
                    } else {
                        ENTROPY_MODE_CAVLC
                    },
                    cabac_init_idc: 0,
                };
                check(
                    (f.kd_mpi_venc_set_h264_entropy)(number, &entropy),
                    "kd_mpi_venc_set_h264_entropy",
                )?;
            }
            if self.attr.codec == Codec::H265 {
                let sao = k_venc_h265_sao {
                    slice_sao_luma_flag: self.attr.sao.into(),
                    slice_sao_chroma_flag: self.attr.sao.into(),
                };
                check(
                    (f.kd_mpi_venc_set_h265_sao)(number, &sao),
                    "kd_mpi_venc_set_h265_sao",
                )?;
            }

            let mut config = k_vb_pool_config::ZERO;
            config.blk_size = self.layout.size as u64;
            config.blk_cnt = INPUT_BLOCKS;
            config.mode = VB_REMAP_MODE_NOCACHE;
            let pool = (f.kd_mpi_vb_create_pool)(&mut config) as u32;
            if pool as usize >= VB_MAX_POOLS {
                return Err(Error::refused(Code::NoBuf, "kd_mpi_vb_create_pool"));
            }
            self.pool = Some(pool);
        }
        for _ in 0..INPUT_BLOCKS {
            let block = Block::get(
                &self.library,
                self.pool.unwrap_or(VB_INVALID_POOLID),
                self.layout.size as u64,
            )?;
            self.free.push(block);
        }
        Ok(())
    }

    fn start(&mut self) -> Result<(), Error> {
        if !self.created {
            self.create()?;
        }
        // SAFETY: a plain number.
        check(
            unsafe { (self.library.functions.kd_mpi_venc_start_chn)(self.number) },
            "kd_mpi_venc_start_chn",
        )?;
        self.started = true;
        Ok(())
    }

    fn send(&mut self, frame: &Frame, ms: i32) -> Result<(), Error> {
        if (frame.width, frame.height, frame.format)
            != (self.attr.width, self.attr.height, self.attr.format)
        {
            return Err(Error::illegal(format!(
                "a frame of {frame:?} into a channel of {}x{}",
                self.attr.width, self.attr.height
            )));
        }
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
        info.v_frame.pixel_format = pixel_format(frame.format);
        info.v_frame.pts = frame.pts;
        info.pool_id = self.pool.unwrap_or(VB_INVALID_POOLID);
        info.mod_id = K_ID_VENC;
        // SAFETY: the frame is valid for the call, its blocks until its stream is fetched.
        check(
            unsafe { (self.library.functions.kd_mpi_venc_send_frame)(self.number, &mut info, ms) },
            "kd_mpi_venc_send_frame",
        )
    }

    fn get(&mut self, ms: i32) -> Result<Stream, Error> {
        loop {
            if let Some(stream) = self.complete.pop_front() {
                return Ok(stream);
            }
            self.fetch(ms)?;
        }
    }

    /// Fetches whatever packs there are. A header pack may come alone.
    fn fetch(&mut self, ms: i32) -> Result<(), Error> {
        const CALL: &str = "kd_mpi_venc_get_stream";
        let library = self.library.clone();
        let f = &library.functions;
        let mut packs = [k_venc_pack::default(); MAX_PACKS];
        let mut stream = k_venc_stream {
            pack: packs.as_mut_ptr(),
            pack_cnt: MAX_PACKS as u32,
        };
        // SAFETY: `stream` has room for the packs it says it has.
        let result = unsafe { (f.kd_mpi_venc_get_stream)(self.number, &mut stream, ms) };
        check(result, CALL)?;
        let count = stream.pack_cnt as usize;
        if count > MAX_PACKS {
            return Err(Error::refused(
                Code::BadAddr,
                format!("{CALL} gave {count} packs where {MAX_PACKS} have room"),
            ));
        }
        let copied = packs[..count].iter().try_for_each(|pack| self.take(pack));
        // SAFETY: the packs are those that were got, and no mapping of them is left.
        let released = unsafe { (f.kd_mpi_venc_release_stream)(self.number, &mut stream) };
        copied?;
        check(released, "kd_mpi_venc_release_stream")?;
        if count == 0 {
            return Err(Error::refused(Code::BufEmpty, CALL));
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

    fn request_idr(&mut self) -> Result<(), Error> {
        if self.attr.codec == Codec::Jpeg {
            return Ok(());
        }
        // SAFETY: a plain number.
        check(
            unsafe { (self.library.functions.kd_mpi_venc_request_idr)(self.number) },
            "kd_mpi_venc_request_idr",
        )
    }

    /// Fetches what is inside, then stops: the manual keeps the stream buffers of a stopped
    /// channel, but says nothing of frames that are being encoded.
    fn stop(&mut self) -> Result<(), Error> {
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
        // SAFETY: a plain number.
        check(
            unsafe { (self.library.functions.kd_mpi_venc_stop_chn)(self.number) },
            "kd_mpi_venc_stop_chn",
        )?;
        self.started = false;
        // The manual does not say that a stopped channel starts again; start() makes a new one.
        self.destroy_channel();
        Ok(())
    }

    fn destroy_channel(&mut self) {
        if self.created {
            self.created = false;
            // SAFETY: a plain number.
            unsafe { (self.library.functions.kd_mpi_venc_destroy_chn)(self.number) };
        }
        self.free.clear();
        self.sent.clear();
        self.partial = Partial::default();
        if let Some(pool) = self.pool.take() {
            // SAFETY: the pool is ours and its blocks have been given back.
            unsafe { (self.library.functions.kd_mpi_vb_destory_pool)(pool) };
        }
        if self.uses_video_buffers {
            self.uses_video_buffers = false;
            let mut buffers = self.video_buffers();
            buffers.users -= 1;
            if buffers.users == 0 && buffers.ours {
                buffers.ours = false;
                // SAFETY: no arguments, and no block of ours is left.
                unsafe { (self.library.functions.kd_mpi_vb_exit)() };
            }
        }
    }

    fn destroy(&mut self) {
        if self.started {
            self.started = false;
            // SAFETY: a plain number.
            unsafe { (self.library.functions.kd_mpi_venc_stop_chn)(self.number) };
        }
        self.destroy_channel();
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.destroy();
    }
}
