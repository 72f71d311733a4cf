// SPDX-License-Identifier: MIT OR Apache-2.0
//! The device trait: what every way to an encoder offers.

use std::{any::Any, fmt, os::fd::RawFd, sync::Arc, time::Duration};

use super::{ChannelAttr, Code, Codec, Error, Level, PixelFormat, RateControl, Region};

/// The bytes of a raw picture, owned elsewhere.
///
/// An implementation of [`Channel`] that knows the owner may take it out with
/// [`FrameData::as_any`] and so have the picture without a copy.
pub trait FrameData: Any + Send + Sync {
    /// The bytes of `plane` and the distance of its rows; the last row may be shorter. `None` if
    /// there is no such plane or its memory cannot be read.
    fn plane(&self, plane: usize) -> Option<(&[u8], usize)>;
    /// The owner itself.
    fn as_any(&self) -> &dyn Any;
    /// Where the planes are as DMA buffers, in order; `None` if the picture is not in such memory.
    /// The descriptors stay open while the owner lives.
    fn dma_planes(&self) -> Option<Vec<DmaPlane>> {
        None
    }
}

/// A plane of a picture in a DMA buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DmaPlane {
    /// The buffer's descriptor; two planes may have the same.
    pub fd: RawFd,
    /// Bytes of the whole buffer.
    pub size: u32,
    /// Where the plane begins in it.
    pub offset: u32,
    /// The distance of its rows.
    pub stride: u32,
}

/// Memory of a device for one plane of a picture, which whoever makes the picture writes to. A frame
/// whose planes are such memory is read where it is.
pub trait PlaneMemory: Send {
    /// The bytes.
    fn bytes(&self) -> &[u8];
    /// The bytes to write to. What is written while the device reads the frame can show in it.
    fn bytes_mut(&mut self) -> &mut [u8];
}

/// A plane that a device lent.
pub struct LentPlane {
    /// The distance of its rows in bytes.
    pub stride: usize,
    /// Its memory, which outlives the channel.
    pub memory: Box<dyn PlaneMemory>,
}

impl fmt::Debug for LentPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let len = self.memory.bytes().len();
        write!(f, "{len} bytes in rows of {}", self.stride)
    }
}

/// A raw picture (`k_video_frame_info`).
#[derive(Clone)]
pub struct Frame {
    /// How the picture lies in memory.
    pub format: PixelFormat,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Presentation time in microseconds, handed through to the packs.
    pub pts: u64,
    /// Parts that are to be finer or coarser than the rest, where [`Channel::takes_regions`].
    pub regions: Vec<Region>,
    /// The bytes.
    pub data: Arc<dyn FrameData>,
}

impl Frame {
    /// Whether a channel of these attributes takes it.
    ///
    /// # Errors
    /// `K_ERR_VENC_ILLEGAL_PARAM` if it has another size or format.
    pub fn fits(&self, attr: &ChannelAttr) -> Result<(), Error> {
        if (self.width, self.height, self.format) == (attr.width, attr.height, attr.format) {
            return Ok(());
        }
        Err(Error::illegal(format!(
            "a frame of {self:?} into a channel of {}x{}",
            attr.width, attr.height
        )))
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {}x{} at {} us",
            self.format, self.width, self.height, self.pts
        )
    }
}

/// `k_venc_pack_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PackKind {
    /// Parameter sets.
    Header,
    /// A picture that needs no other.
    I,
    /// A picture predicted from the one before.
    P,
}

impl PackKind {
    /// The kind's name: `header`, `I` or `P`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::I => "I",
            Self::P => "P",
        }
    }
}

/// The bytes of an encoded frame, owned by the encoder until dropped.
pub trait PackData: Any + Send {
    /// The bytes.
    fn bytes(&self) -> &[u8];
}

impl PackData for Vec<u8> {
    fn bytes(&self) -> &[u8] {
        self
    }
}

/// One pack of a stream (`k_venc_pack`): its kind and how many of the stream's bytes it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pack {
    /// What is in it.
    pub kind: PackKind,
    /// Bytes.
    pub len: usize,
}

/// The packs of one encoded frame (`k_venc_stream`), in decoding order and one after the other
/// in `data`. Dropping it gives the stream buffers back to the channel.
pub struct Stream {
    /// The packs; their lengths add up to that of the data.
    pub packs: Vec<Pack>,
    /// The frame's presentation time in microseconds.
    pub pts: u64,
    /// The bytes.
    pub data: Box<dyn PackData>,
}

impl Stream {
    /// Whether decoding can start here.
    pub fn is_key(&self) -> bool {
        self.packs.iter().any(|pack| pack.kind == PackKind::I)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {} us", self.packs, self.pts)
    }
}

/// What a channel says of itself (`k_venc_chn_status`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Packs that can be fetched now.
    pub packs_ready: u32,
    /// Frames in the encoder whose stream has not been fetched.
    pub frames_inside: u32,
    /// Frames whose picture was copied on its way into the device.
    pub copied: u64,
    /// Frames that the device read where they were.
    pub imported: u64,
    /// Frames that were written to the device's own memory, by [`Channel::lend`].
    pub pooled: u64,
}

/// A way to an encoder.
pub trait Device: Send + Sync {
    /// What encodes `attr`'s codec, for the log: a library's file or a factory's name.
    fn describe(&self) -> String;

    /// The formats of pictures that it reads for `codec`, the best first.
    fn formats(&self, codec: Codec) -> Vec<PixelFormat> {
        let all = PixelFormat::ALL.into_iter();
        all.filter(|format| format.is_vencs(codec)).collect()
    }

    /// Creates channel `number`, 0 to 3.
    ///
    /// # Errors
    /// `K_ERR_VENC_ILLEGAL_PARAM` for attributes out of range, `K_ERR_VENC_EXIST` if the channel
    /// exists, `K_ERR_VENC_NOBUF` without memory for its streams, [`Error::NoElement`] where the
    /// machine has no encoder for the codec.
    fn create_channel(&self, number: u32, attr: &ChannelAttr) -> Result<Box<dyn Channel>, Error>;
}

/// A channel, from its creation to its end; dropping it destroys it, stopped or not.
pub trait Channel: Send {
    /// Opens the channel for frames.
    ///
    /// # Errors
    /// `K_ERR_VENC_NOT_PERM` if it is started already.
    fn start(&mut self) -> Result<(), Error>;

    /// Gives the channel a picture, waiting for room for at most `limit`.
    ///
    /// # Errors
    /// `K_ERR_VENC_BUF_FULL` or `K_ERR_VENC_BUSY` when there was no room in that time: the frame
    /// was not taken. `K_ERR_VENC_NOT_PERM` if the channel is not started,
    /// `K_ERR_VENC_ILLEGAL_PARAM` if the picture is not the channel's size.
    /// [`Error::Stuck`] if the device did not answer.
    fn send_frame(&mut self, frame: &Frame, limit: Duration) -> Result<(), Error>;

    /// The next frame's stream, waiting for it for at most `limit`.
    ///
    /// # Errors
    /// `K_ERR_VENC_BUF_EMPTY` when none came in that time, [`Error::Damaged`] in the place of a
    /// stream that was lost; any other error is the end of the channel.
    fn get_stream(&mut self, limit: Duration) -> Result<Stream, Error>;

    /// What waits in the channel.
    fn query(&self) -> Status;

    /// Makes the next frame sent an IDR, and a new GOP begin with it.
    ///
    /// # Errors
    /// Those of the device; without effect on JPEG.
    fn request_idr(&mut self) -> Result<(), Error>;

    /// Changes the rate control and the GOP's length from the next frame on.
    ///
    /// # Errors
    /// `K_ERR_VENC_NOT_SUPPORT` where a running channel cannot: create another.
    fn set_rate(&mut self, rate: RateControl, gop: u32) -> Result<(), Error>;

    /// Takes no more frames and completes those inside, so that [`Channel::get_stream`] has all
    /// of them. Stopping a stopped channel is no error.
    ///
    /// # Errors
    /// Those of the device.
    fn stop(&mut self) -> Result<(), Error>;

    /// Frames that have to be inside before the first stream comes out, 0 where each stream
    /// follows its frame.
    fn delay(&self) -> u32;

    /// What encodes: a library's file or a factory's name.
    fn describe(&self) -> String;

    /// Lends memory for up to `count` pictures, before the first frame is sent.
    ///
    /// # Errors
    /// `K_ERR_VENC_NOT_SUPPORT` where the device has none to lend, `K_ERR_VENC_NOT_PERM` when it is
    /// too late; otherwise those of the device.
    fn lend(&mut self, _count: u32) -> Result<Vec<Vec<LentPlane>>, Error> {
        Err(Error::refused(Code::NotSupport, "lending memory"))
    }

    /// Whether a frame's regions have an effect, as far as is known: a device can turn out not to
    /// take them when the first one comes. Those that are beyond [`crate::MAX_REGIONS`] never have.
    fn takes_regions(&self) -> bool {
        false
    }

    /// The level that the streams say they have; `None` where the device has no word for it.
    fn level(&self) -> Option<Level> {
        None
    }

    /// Attributes that this encoder could not be given, a sentence each.
    fn unmapped(&self) -> &[String] {
        &[]
    }
}
