// SPDX-License-Identifier: MIT OR Apache-2.0
//! A channel's attributes and their limits.

use super::{Error, Level};

/// Channels of the one VENC device (`VENC_MAX_CHN_NUMS`).
pub const MAX_CHANNELS: u32 = 4;
/// The coarsest quantizer of H.264 and H.265.
pub const MAX_QP: u32 = 51;
/// The longest GOP, in frames. The manual has no limit; this is what a 16 bit counter holds.
pub const MAX_GOP: u32 = 65_535;
/// The highest bit rate in kbit/s. The manual has none; this is the most H.264 level 5.2 and
/// H.265 level 5.2 (high tier) allow.
pub const MAX_BITRATE: u32 = 240_000;

/// What is encoded to (`k_payload_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Codec {
    /// H.264, byte stream.
    H264,
    /// H.265, byte stream.
    H265,
    /// Baseline sequential JPEG.
    Jpeg,
}

impl Codec {
    /// The codec's name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "H.264",
            Self::H265 => "H.265",
            Self::Jpeg => "JPEG",
        }
    }
}

/// `k_venc_profile`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// `VENC_PROFILE_NONE`, for JPEG.
    None,
    /// H.264 baseline.
    H264Baseline,
    /// H.264 main.
    H264Main,
    /// H.264 high.
    H264High,
    /// H.264 high 10.
    H264High10,
    /// H.265 main.
    H265Main,
    /// H.265 main 10.
    H265Main10,
}

impl Profile {
    /// The codec the profile is one of, `None` for [`Profile::None`].
    pub fn codec(self) -> Option<Codec> {
        match self {
            Self::None => None,
            Self::H264Baseline | Self::H264Main | Self::H264High | Self::H264High10 => {
                Some(Codec::H264)
            }
            Self::H265Main | Self::H265Main10 => Some(Codec::H265),
        }
    }

    /// The name in GStreamer's caps, which is also the standard's.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::H264Baseline => "baseline",
            Self::H264Main | Self::H265Main => "main",
            Self::H264High => "high",
            Self::H264High10 => "high-10",
            Self::H265Main10 => "main-10",
        }
    }

    /// Whether the stream has ten bits a sample.
    pub fn is_ten_bit(self) -> bool {
        matches!(self, Self::H264High10 | Self::H265Main10)
    }
}

/// The rate control and its numbers (`k_venc_rc_attr`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RateControl {
    /// Constant bit rate.
    Cbr {
        /// Average rate in kbit/s.
        bitrate: u32,
    },
    /// Variable bit rate under a ceiling.
    Vbr {
        /// Average rate in kbit/s.
        bitrate: u32,
        /// The rate no statistics window exceeds, in kbit/s.
        max_bitrate: u32,
    },
    /// Fixed quantizers.
    FixQp {
        /// For I frames, 0 (finest) to 51.
        i: u32,
        /// For P frames, 0 (finest) to 51.
        p: u32,
    },
    /// JPEG's quality factor.
    JpegQuality {
        /// 1 (coarsest) to 99.
        factor: u32,
    },
}

/// How a raw picture lies in memory. Those of `k_pixel_format` that VENC reads by its manual are
/// [`PixelFormat::is_vencs`]; the others are read by the driver `mvx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Y, then interleaved U and V at half size (`PIXEL_FORMAT_YUV_SEMIPLANAR_420`).
    Nv12,
    /// Bytes A, R, G, B (`PIXEL_FORMAT_ARGB_8888`).
    Argb,
    /// Bytes B, G, R, A (`PIXEL_FORMAT_BGRA_8888`).
    Bgra,
    /// Bytes U, Y, V, Y (`PIXEL_FORMAT_UYVY_PACKAGE_422`), for JPEG.
    Uyvy,
    /// Y, then interleaved V and U at half size.
    Nv21,
    /// Y, then U, then V at half size.
    I420,
    /// Bytes Y, U, Y, V.
    Yuy2,
    /// Bytes R, G, B.
    Rgb,
    /// Bytes B, G, R.
    Bgr,
    /// Y, then interleaved U and V at half size, each in 16 bits, little endian, of which the upper ten count.
    P010,
}

impl PixelFormat {
    /// All of them, the cheapest for an encoder first.
    pub const ALL: [Self; 10] = [
        Self::Nv12,
        Self::Nv21,
        Self::I420,
        Self::Bgra,
        Self::Argb,
        Self::Uyvy,
        Self::Yuy2,
        Self::Rgb,
        Self::Bgr,
        Self::P010,
    ];

    /// Whether VENC reads it for `codec`, by `K230_视频编解码_API参考.md`.
    pub fn is_vencs(self, codec: Codec) -> bool {
        match self {
            Self::Nv12 | Self::Argb | Self::Bgra => true,
            Self::Uyvy => codec == Codec::Jpeg,
            _ => false,
        }
    }

    /// Planes of a picture.
    pub fn planes(self) -> usize {
        match self {
            Self::Nv12 | Self::Nv21 | Self::P010 => 2,
            Self::I420 => 3,
            _ => 1,
        }
    }

    /// Bytes of one row of `plane` that carry picture.
    pub fn row_bytes(self, plane: usize, width: u32) -> usize {
        let width = width as usize;
        match (self, plane) {
            (Self::Nv12 | Self::Nv21 | Self::I420, 0) => width,
            (Self::Nv12 | Self::Nv21, _) => width.next_multiple_of(2),
            (Self::I420, _) => width.div_ceil(2),
            (Self::P010, 0) => width * 2,
            (Self::P010, _) => width.next_multiple_of(2) * 2,
            (Self::Uyvy | Self::Yuy2, _) => width.next_multiple_of(2) * 2,
            (Self::Rgb | Self::Bgr, _) => width * 3,
            _ => width * 4,
        }
    }

    /// Rows of `plane`.
    pub fn rows(self, plane: usize, height: u32) -> usize {
        match (self, plane) {
            (Self::Nv12 | Self::Nv21 | Self::I420 | Self::P010, 1..) => height.div_ceil(2) as usize,
            _ => height as usize,
        }
    }
}

/// `k_venc_mirror`, and none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mirror {
    /// As it comes.
    #[default]
    None,
    /// Left and right exchanged.
    Horizontal,
    /// Top and bottom exchanged.
    Vertical,
}

/// `k_rotation`, clockwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Rotation {
    /// As it comes.
    #[default]
    None,
    /// A quarter turn clockwise.
    Quarter,
    /// Upside down.
    Half,
    /// A quarter turn counter-clockwise.
    ThreeQuarters,
}

impl Rotation {
    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        matches!(self, Self::Quarter | Self::ThreeQuarters)
    }
}

/// `k_venc_entropy_mode`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Entropy {
    /// Variable length codes.
    Cavlc,
    /// Arithmetic coding; H.264 baseline has none and uses CAVLC.
    #[default]
    Cabac,
}

/// The sizes a codec takes, in pixels (K230_视频编解码_API参考.md, `kd_mpi_venc_create_chn`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeLimits {
    /// Narrowest.
    pub min_width: u32,
    /// Widest.
    pub max_width: u32,
    /// Lowest.
    pub min_height: u32,
    /// Highest.
    pub max_height: u32,
}

impl SizeLimits {
    /// The limits of `codec`.
    pub const fn of(codec: Codec) -> Self {
        let max = match codec {
            Codec::H264 | Codec::H265 => 4096,
            Codec::Jpeg => 8192,
        };
        Self {
            min_width: 128,
            max_width: max,
            min_height: 64,
            max_height: max,
        }
    }
}

/// What a channel is created with (`k_venc_chn_attr`), and what is set between its creation and
/// its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelAttr {
    /// The codec.
    pub codec: Codec,
    /// Its profile, [`Profile::None`] for JPEG.
    pub profile: Profile,
    /// The level that streams are to say they have; `None` is the lowest that is enough for them.
    pub level: Option<Level>,
    /// Width of the picture given in, in pixels.
    pub width: u32,
    /// Height of the picture given in, in pixels.
    pub height: u32,
    /// How the picture lies in memory.
    pub format: PixelFormat,
    /// Frames a second as numerator and denominator, 0/1 if not known.
    pub framerate: (u32, u32),
    /// The rate control.
    pub rate: RateControl,
    /// Frames from one IDR to the next, 1 for I frames alone.
    pub gop: u32,
    /// Stream buffers, each for one pack.
    pub stream_buffers: u32,
    /// Mirroring, before the rotation.
    pub mirror: Mirror,
    /// Rotation.
    pub rotation: Rotation,
    /// Entropy coding of H.264.
    pub entropy: Entropy,
    /// Deblocking filter of H.264 and H.265.
    pub deblock: bool,
    /// Sample adaptive offset of H.265.
    pub sao: bool,
}

fn within(what: &str, value: u32, range: std::ops::RangeInclusive<u32>) -> Result<(), Error> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(Error::illegal(format!(
        "{what} {value} is not within {} to {}",
        range.start(),
        range.end()
    )))
}

impl ChannelAttr {
    /// Attributes of a channel for pictures of a size, everything else as CanMV's Python sets it:
    /// CBR of 4000 kbit/s, 30 frames a second, a GOP of 30, 15 stream buffers.
    pub fn new(codec: Codec, profile: Profile, width: u32, height: u32) -> Self {
        Self {
            codec,
            profile,
            level: None,
            width,
            height,
            format: PixelFormat::Nv12,
            framerate: (30, 1),
            rate: match codec {
                Codec::Jpeg => RateControl::JpegQuality { factor: 50 },
                _ => RateControl::Cbr { bitrate: 4000 },
            },
            gop: 30,
            stream_buffers: 15,
            mirror: Mirror::None,
            rotation: Rotation::None,
            entropy: Entropy::Cabac,
            deblock: true,
            sao: true,
        }
    }

    /// Frames a second, rounded, 30 if not known.
    pub fn frames_per_second(&self) -> u32 {
        match self.framerate {
            (0, _) | (_, 0) => 30,
            (n, d) => ((n + d / 2) / d).max(1),
        }
    }

    /// The level that streams are to say they have: the one that was asked for, or the lowest that is
    /// enough. `None` for JPEG, and for more than any level allows.
    pub fn wanted_level(&self) -> Option<Level> {
        self.level.or_else(|| Level::lowest(self))
    }

    /// Bytes of one stream buffer: what CanMV's Python takes, three quarters of a byte a pixel,
    /// in whole pages.
    pub fn stream_buffer_size(&self) -> u32 {
        (self.width * self.height / 4 * 3).next_multiple_of(4096)
    }

    /// Width and height of the encoded picture.
    pub fn encoded_size(&self) -> (u32, u32) {
        if self.rotation.swaps_sides() {
            (self.height, self.width)
        } else {
            (self.width, self.height)
        }
    }

    /// Checks the rate control alone.
    fn validate_rate(&self) -> Result<(), Error> {
        let codec = self.codec.name();
        match (self.codec, self.rate) {
            (Codec::Jpeg, RateControl::JpegQuality { factor }) => {
                within("jpeg-quality", factor, 1..=99)?;
            }
            (Codec::Jpeg, _) => {
                return Err(Error::illegal(
                    "JPEG has a quality factor and no other rate control",
                ));
            }
            (_, RateControl::Cbr { bitrate }) => {
                within("a bitrate of", bitrate, 1..=MAX_BITRATE)?;
            }
            (
                _,
                RateControl::Vbr {
                    bitrate,
                    max_bitrate,
                },
            ) => {
                within("a bitrate of", bitrate, 1..=MAX_BITRATE)?;
                within("a max-bitrate of", max_bitrate, bitrate..=MAX_BITRATE)?;
            }
            (_, RateControl::FixQp { i, p }) => {
                within("qp-i", i, 0..=MAX_QP)?;
                within("qp-p", p, 0..=MAX_QP)?;
            }
            (_, RateControl::JpegQuality { .. }) => {
                return Err(Error::illegal(format!(
                    "a JPEG quality factor is no rate control of {codec}"
                )));
            }
        }
        Ok(())
    }

    /// Checks every attribute against VENC's limits.
    ///
    /// # Errors
    /// `K_ERR_VENC_ILLEGAL_PARAM` with the value and its range, `K_ERR_VENC_NOT_SUPPORT` for a
    /// format that VENC does not read, as UYVY into anything but JPEG.
    pub fn validate(&self) -> Result<(), Error> {
        self.validate_for(|format| format.is_vencs(self.codec))
    }

    /// The same for a device that `reads` other formats than VENC's manual has.
    ///
    /// # Errors
    /// As for [`validate`](Self::validate).
    pub fn validate_for(&self, reads: impl Fn(PixelFormat) -> bool) -> Result<(), Error> {
        let limits = SizeLimits::of(self.codec);
        let codec = self.codec.name();
        let (width, height) = (self.width, self.height);
        within(
            &format!("for {codec} a width of"),
            width,
            limits.min_width..=limits.max_width,
        )?;
        within(
            &format!("for {codec} a height of"),
            height,
            limits.min_height..=limits.max_height,
        )?;
        if width % 2 != 0 || height % 2 != 0 {
            return Err(Error::illegal(format!(
                "{width}x{height}: width and height must be even, as chroma has half of each"
            )));
        }
        if self.profile.codec() != (self.codec != Codec::Jpeg).then_some(self.codec) {
            return Err(Error::illegal(format!(
                "profile {} is none of {codec}'s",
                self.profile.name()
            )));
        }
        if let Some(level) = self.level.filter(|level| level.codec() != self.codec) {
            return Err(Error::illegal(format!("{level} is none of {codec}'s")));
        }
        if !reads(self.format) {
            let what = match self.format {
                PixelFormat::Uyvy => {
                    format!("UYVY pictures into {codec}; VENC reads them for JPEG only")
                }
                format => format!(
                    "{format:?} pictures into {codec}; VENC reads NV12, ARGB and BGRA, and UYVY for \
                     JPEG"
                ),
            };
            return Err(Error::refused(super::Code::NotSupport, what));
        }
        self.validate_rate()?;
        within("gop-length", self.gop, 1..=MAX_GOP)?;
        // VB_SINGLE_MAX_BLKS of k_vb_comm.h.
        within("output-buffers", self.stream_buffers, 1..=256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Code;

    fn refused(change: impl FnOnce(&mut ChannelAttr)) -> Code {
        let mut attr = ChannelAttr::new(Codec::H264, Profile::H264Main, 1280, 720);
        attr.validate().expect("the unchanged attributes are good");
        change(&mut attr);
        attr.validate()
            .expect_err("out of range")
            .code()
            .expect("a VENC code")
    }

    #[test]
    fn limits_are_the_manuals() {
        for (width, height) in [
            (126, 720),
            (4098, 720),
            (1280, 62),
            (1280, 4098),
            (1281, 720),
        ] {
            assert_eq!(
                refused(|a| (a.width, a.height) = (width, height)),
                Code::IllegalParam
            );
        }
        assert_eq!(
            refused(|a| a.profile = Profile::H265Main),
            Code::IllegalParam
        );
        assert_eq!(refused(|a| a.profile = Profile::None), Code::IllegalParam);
        let other = Level::at(Codec::H265, 0, false);
        assert_eq!(refused(|a| a.level = other), Code::IllegalParam);
        assert_eq!(refused(|a| a.format = PixelFormat::Uyvy), Code::NotSupport);
        assert_eq!(refused(|a| a.format = PixelFormat::I420), Code::NotSupport);
        assert_eq!(
            refused(|a| a.rate = RateControl::Cbr { bitrate: 0 }),
            Code::IllegalParam
        );
        assert_eq!(
            refused(|a| a.rate = RateControl::Vbr {
                bitrate: 4000,
                max_bitrate: 3999
            }),
            Code::IllegalParam
        );
        assert_eq!(
            refused(|a| a.rate = RateControl::FixQp { i: 52, p: 30 }),
            Code::IllegalParam
        );
        assert_eq!(refused(|a| a.gop = 0), Code::IllegalParam);
        assert_eq!(refused(|a| a.stream_buffers = 0), Code::IllegalParam);

        let mut jpeg = ChannelAttr::new(Codec::Jpeg, Profile::None, 8192, 8192);
        jpeg.format = PixelFormat::Uyvy;
        jpeg.validate().expect("JPEG goes to 8192 and takes UYVY");
        jpeg.rate = RateControl::JpegQuality { factor: 100 };
        assert!(jpeg.validate().is_err());
    }

    #[test]
    fn pictures_have_as_many_bytes_as_their_formats_say() {
        for (format, bits) in [
            (PixelFormat::Nv12, 12),
            (PixelFormat::Nv21, 12),
            (PixelFormat::I420, 12),
            (PixelFormat::Uyvy, 16),
            (PixelFormat::Yuy2, 16),
            (PixelFormat::Rgb, 24),
            (PixelFormat::Bgr, 24),
            (PixelFormat::Argb, 32),
            (PixelFormat::Bgra, 32),
            (PixelFormat::P010, 24),
        ] {
            let plane = |n| format.row_bytes(n, 320) * format.rows(n, 240);
            let bytes: usize = (0..format.planes()).map(plane).sum();
            assert_eq!(bytes, 320 * 240 * bits / 8, "{format:?}");
            assert!(PixelFormat::ALL.contains(&format));
        }
    }

    #[test]
    fn rotation_exchanges_the_sides() {
        let mut attr = ChannelAttr::new(Codec::H265, Profile::H265Main, 1280, 720);
        assert_eq!(attr.encoded_size(), (1280, 720));
        attr.rotation = Rotation::Quarter;
        assert_eq!(attr.encoded_size(), (720, 1280));
        // 691200 bytes are 168.75 pages.
        assert_eq!(attr.stream_buffer_size(), 169 * 4096);
    }
}
