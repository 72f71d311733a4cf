// SPDX-License-Identifier: MIT OR Apache-2.0
//! Formats, and what the driver makes of those that are asked for: `mvx_v4l2_vidioc.c`,
//! `try_format` of `mvx_session.c` and `mvx_buffer_frame_dim`.

use k230_venc::{Codec, PixelFormat, v4l2::raw::*};

use super::{faults::Faults, uapi::*};

/// The size of the driver's pages.
pub(super) const PAGE: u32 = 4096;

/// The longest side (`try_format`).
const LONGEST: u32 = 32768;

/// The most that an encoded buffer is made for (`try_format`).
const MOST_ENCODED: u32 = 8192 * 8192;

/// What a format is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Stream(Codec),
    /// Pictures, with the bytes and rows of each plane in a square of two by two (`get_stride`).
    Frame(PixelFormat, &'static [(u32, u32)]),
}

/// A format as the driver has it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub fourcc: u32,
    /// What `VIDIOC_ENUM_FMT` calls it: V4L2's own name takes the place of the driver's.
    pub text: &'static str,
    pub kind: Kind,
}

impl Format {
    pub(crate) fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Stream(_))
    }

    pub(crate) fn codec(&self) -> Option<Codec> {
        match self.kind {
            Kind::Stream(codec) => Some(codec),
            Kind::Frame(..) => None,
        }
    }

    pub(crate) fn pixels(&self) -> Option<PixelFormat> {
        match self.kind {
            Kind::Frame(format, _) => Some(format),
            Kind::Stream(_) => None,
        }
    }

    /// Whether the hardware has it on a queue (`mvx_hwreg_get_formats_v52_v76`): what no queue of its own lists
    /// can be set all the same, and is refused when streaming begins. No generation reads pictures of 24 bits, nor
    /// writes such of 32.
    pub(crate) fn is_of_queue(&self, output: bool) -> bool {
        match self.pixels() {
            Some(PixelFormat::Rgb | PixelFormat::Bgr) => !output,
            Some(PixelFormat::Argb | PixelFormat::Bgra) => output,
            _ => true,
        }
    }
}

/// The format that a queue enumerates at an index (`mvx_v4l2_vidioc_enum_fmt_vid`).
pub(super) fn listed(output: bool, index: u32) -> Option<&'static Format> {
    let mut listed = FORMATS.iter().filter(|format| format.is_of_queue(output));
    listed.nth(index as usize)
}

const fn stream(fourcc: u32, text: &'static str, codec: Codec) -> Format {
    Format {
        fourcc,
        text,
        kind: Kind::Stream(codec),
    }
}

const fn frame(
    fourcc: u32,
    text: &'static str,
    format: PixelFormat,
    squares: &'static [(u32, u32)],
) -> Format {
    Format {
        fourcc,
        text,
        kind: Kind::Frame(format, squares),
    }
}

/// Both queues enumerate raw and encoded formats: the driver asks without regard to which is which. Of the
/// driver's table, in its order, those that an encoder of a PC can do something with.
pub(super) static FORMATS: [Format; 17] = [
    stream(V4L2_PIX_FMT_H264, "H.264", Codec::H264),
    stream(V4L2_PIX_FMT_HEVC, "HEVC", Codec::H265),
    stream(V4L2_PIX_FMT_JPEG, "JFIF JPEG", Codec::Jpeg),
    stream(V4L2_PIX_FMT_MJPEG, "Motion-JPEG", Codec::Jpeg),
    frame(
        V4L2_PIX_FMT_YUV420M,
        "Planar YUV 4:2:0 (N-C)",
        PixelFormat::I420,
        &[(2, 2), (1, 1), (1, 1)],
    ),
    frame(
        V4L2_PIX_FMT_YUV420,
        "Planar YUV 4:2:0",
        PixelFormat::I420,
        &[(2, 2), (1, 1), (1, 1)],
    ),
    frame(
        V4L2_PIX_FMT_NV12,
        "Y/UV 4:2:0",
        PixelFormat::Nv12,
        &[(2, 2), (2, 1)],
    ),
    frame(
        V4L2_PIX_FMT_NV21,
        "Y/VU 4:2:0",
        PixelFormat::Nv21,
        &[(2, 2), (2, 1)],
    ),
    frame(
        V4L2_PIX_FMT_P010,
        "10-bit Y/UV 4:2:0",
        PixelFormat::P010,
        &[(4, 2), (4, 1)],
    ),
    frame(
        V4L2_PIX_FMT_YUYV,
        "YUYV 4:2:2",
        PixelFormat::Yuy2,
        &[(4, 2)],
    ),
    frame(
        V4L2_PIX_FMT_UYVY,
        "UYVY 4:2:2",
        PixelFormat::Uyvy,
        &[(4, 2)],
    ),
    frame(
        V4L2_PIX_FMT_ARGB32,
        "32-bit ARGB 8-8-8-8",
        PixelFormat::Argb,
        &[(8, 2)],
    ),
    frame(
        V4L2_PIX_FMT_RGB32,
        "32-bit A/XRGB 8-8-8-8",
        PixelFormat::Argb,
        &[(8, 2)],
    ),
    frame(
        V4L2_PIX_FMT_ABGR32,
        "32-bit BGRA 8-8-8-8",
        PixelFormat::Bgra,
        &[(8, 2)],
    ),
    frame(
        V4L2_PIX_FMT_BGR32,
        "32-bit BGRA/X 8-8-8-8",
        PixelFormat::Bgra,
        &[(8, 2)],
    ),
    frame(
        V4L2_PIX_FMT_RGB24,
        "24-bit RGB 8-8-8",
        PixelFormat::Rgb,
        &[(6, 2)],
    ),
    frame(
        V4L2_PIX_FMT_BGR24,
        "24-bit BGR 8-8-8",
        PixelFormat::Bgr,
        &[(6, 2)],
    ),
];

pub(super) fn find(fourcc: u32) -> Option<&'static Format> {
    FORMATS.iter().find(|format| format.fourcc == fourcc)
}

/// A port's size and planes (`struct mvx_session_port`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    pub format: &'static Format,
    pub width: u32,
    pub height: u32,
    pub planes: usize,
    pub strides: [u32; 3],
    pub sizes: [u32; 3],
}

impl Layout {
    /// What becomes of a layout that is asked for; `dictated` is the size of the other port where
    /// that decides. Sizes wrap as the driver's do, which checks no stride.
    pub(crate) fn tried(mut self, dictated: Option<(u32, u32)>, faults: &Faults) -> Self {
        self.width = self.width.min(LONGEST);
        self.height = self.height.min(LONGEST);
        if let Some(size) = dictated {
            (self.width, self.height) = size;
        }
        match self.format.kind {
            Kind::Stream(_) => {
                let asked = if self.planes == 0 { 0 } else { self.sizes[0] };
                let size = asked
                    .max(PAGE)
                    .max(self.width.wrapping_mul(self.height))
                    .min(MOST_ENCODED);
                self.strides[0] = 0;
                self.sizes[0] = size.next_multiple_of(PAGE);
                self.planes = 1;
            }
            Kind::Frame(_, squares) => self.lay_out(squares, faults),
        }
        self
    }

    fn lay_out(&mut self, squares: &[(u32, u32)], faults: &Faults) {
        for (plane, (across, down)) in squares.iter().enumerate() {
            let mut row = (self.width * across).div_ceil(2);
            if plane == 1 && squares.len() == 2 {
                // "a workaround patch for nv12/nv21/p010 odd height/width output"
                row = row.max(self.width.div_ceil(2) * across);
            }
            let asked = if plane < self.planes {
                self.strides[plane]
            } else {
                0
            };
            let stride = if faults.short_strides {
                row / 2
            } else {
                asked.max(row).wrapping_add(faults.stride)
            };
            self.strides[plane] = stride;
            self.sizes[plane] = (self.height * down).div_ceil(2).wrapping_mul(stride);
        }
        self.planes = squares.len();
    }
}

/// One direction's format (`struct mvx_v4l2_port`).
pub(super) struct Port {
    /// The type that `S_FMT` was last made with, which is the queue's when it gets buffers.
    pub kind: u32,
    /// What `S_FMT` answered last. Its size stays when the other port's changes; the layout's does
    /// not.
    pub shown: v4l2_pix_format_mplane,
    pub layout: Layout,
    pub interlaced: bool,
}

/// What a request for a format asks.
pub(super) struct Asked {
    pub shown: v4l2_pix_format_mplane,
    pub layout: Layout,
    pub interlaced: bool,
}

fn is_multi(kind: u32) -> bool {
    matches!(
        kind,
        V4L2_BUF_TYPE_VIDEO_OUTPUT_MPLANE | V4L2_BUF_TYPE_VIDEO_CAPTURE_MPLANE
    )
}

/// Reads what is asked (`from_v4l2_format`); a code that the driver does not know is refused, where
/// others put one in its place that they do.
pub(super) fn asked(whole: &v4l2_format) -> Result<Asked, i32> {
    let mut shown: v4l2_pix_format_mplane = zeroed();
    if is_multi(whole.type_) {
        // SAFETY: plain numbers, for which any bits are valid.
        shown = unsafe { whole.fmt.pix_mp };
        shown.num_planes = shown.num_planes.min(VIDEO_MAX_PLANES as u8);
    } else {
        // SAFETY: as above.
        let pix = unsafe { whole.fmt.pix };
        shown.width = pix.width;
        shown.height = pix.height;
        shown.pixelformat = pix.pixelformat;
        shown.field = pix.field;
        shown.colorspace = pix.colorspace;
        if pix.priv_ == V4L2_PIX_FMT_PRIV_MAGIC {
            shown.flags = pix.flags as u8;
        }
        shown.num_planes = 1;
        shown.plane_fmt[0].sizeimage = pix.sizeimage;
        shown.plane_fmt[0].bytesperline = pix.bytesperline;
    }
    let interlaced = shown.field == V4L2_FIELD_SEQ_TB;
    if !interlaced {
        shown.field = V4L2_FIELD_NONE;
    }
    let or = |value: u32, default: u32| if value == 0 { default } else { value };
    shown.colorspace = or(shown.colorspace, V4L2_COLORSPACE_REC709);
    shown.ycbcr_enc = or(shown.ycbcr_enc.into(), V4L2_YCBCR_ENC_709) as u8;
    shown.quantization = or(shown.quantization.into(), V4L2_QUANTIZATION_FULL_RANGE) as u8;
    shown.xfer_func = or(shown.xfer_func.into(), V4L2_XFER_FUNC_709) as u8;
    let format = find(shown.pixelformat).ok_or(libc::EINVAL)?;
    let planes = usize::from(shown.num_planes).min(3);
    let mut layout = Layout {
        format,
        width: shown.width,
        height: shown.height,
        planes,
        strides: [0; 3],
        sizes: [0; 3],
    };
    for (plane, of_plane) in shown.plane_fmt.iter().enumerate().take(planes) {
        layout.strides[plane] = of_plane.bytesperline;
        layout.sizes[plane] = of_plane.sizeimage;
    }
    Ok(Asked {
        shown,
        layout,
        interlaced,
    })
}

/// Writes an answer (`to_v4l2_format`).
pub(super) fn answer(
    shown: &v4l2_pix_format_mplane,
    layout: &Layout,
    interlaced: bool,
    whole: &mut v4l2_format,
) {
    let field = if interlaced {
        V4L2_FIELD_SEQ_TB
    } else {
        V4L2_FIELD_NONE
    };
    let planes = usize::from(shown.num_planes).min(3);
    if is_multi(whole.type_) {
        let mut answer = *shown;
        answer.reserved = [0; 7];
        answer.field = field;
        for plane in 0..planes {
            answer.plane_fmt[plane] = v4l2_plane_pix_format {
                sizeimage: layout.sizes[plane],
                bytesperline: layout.strides[plane],
                reserved: [0; 6],
            };
        }
        whole.fmt.pix_mp = answer;
        return;
    }
    whole.fmt.pix = v4l2_pix_format {
        width: shown.width,
        height: shown.height,
        pixelformat: shown.pixelformat,
        field,
        bytesperline: layout.strides[0],
        sizeimage: layout.sizes[..planes]
            .iter()
            .fold(0, |sum: u32, size| sum.wrapping_add(*size)),
        colorspace: shown.colorspace,
        priv_: V4L2_PIX_FMT_PRIV_MAGIC,
        flags: shown.flags.into(),
        ycbcr_enc: shown.ycbcr_enc.into(),
        quantization: shown.quantization.into(),
        xfer_func: shown.xfer_func.into(),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tried(fourcc: u32, width: u32, height: u32, strides: &[u32]) -> Layout {
        let mut layout = Layout {
            format: find(fourcc).expect("a format"),
            width,
            height,
            planes: strides.len(),
            strides: [0; 3],
            sizes: [0; 3],
        };
        layout.strides[..strides.len()].copy_from_slice(strides);
        layout.tried(None, &Faults::default())
    }

    #[test]
    fn sizes_are_clamped_and_strides_obeyed() {
        let huge = tried(V4L2_PIX_FMT_NV12, u32::MAX, u32::MAX, &[]);
        assert_eq!((huge.width, huge.height), (32768, 32768));
        assert_eq!(huge.strides, [32768, 32768, 0]);
        assert_eq!(huge.sizes, [1 << 30, 1 << 29, 0]);
        // Nothing limits a stride, and sizes wrap.
        let wide = tried(V4L2_PIX_FMT_NV12, 640, 480, &[u32::MAX, 0]);
        assert_eq!(wide.strides, [u32::MAX, 640, 0]);
        assert_eq!(wide.sizes[0], 480u32.wrapping_mul(u32::MAX));
        let odd = tried(V4L2_PIX_FMT_NV12, 639, 479, &[]);
        assert_eq!(
            (odd.strides, odd.sizes),
            ([639, 640, 0], [639 * 479, 640 * 240, 0])
        );
        let odd = tried(V4L2_PIX_FMT_YUV420M, 639, 479, &[1024]);
        assert_eq!(odd.strides, [1024, 320, 320]);
        assert_eq!(odd.sizes, [1024 * 479, 320 * 240, 320 * 240]);
    }

    #[test]
    fn ten_bits_take_two_bytes_and_planes_are_apart_under_any_code() {
        let ten = tried(V4L2_PIX_FMT_P010, 639, 479, &[]);
        assert_eq!(
            (ten.planes, ten.strides, ten.sizes),
            (2, [1278, 1280, 0], [1278 * 479, 1280 * 240, 0])
        );
        let planar = tried(V4L2_PIX_FMT_YUV420, 640, 480, &[]);
        assert_eq!((planar.planes, planar.strides), (3, [640, 320, 320]));
    }

    #[test]
    fn a_queue_lists_what_the_hardware_has_on_it() {
        let codes = |output| -> Vec<u32> {
            let listed = (0..).map_while(|index| listed(output, index));
            listed.map(|format| format.fourcc).collect()
        };
        let (read, written) = (codes(true), codes(false));
        for code in [V4L2_PIX_FMT_H264, V4L2_PIX_FMT_NV12, V4L2_PIX_FMT_P010] {
            assert!(read.contains(&code) && written.contains(&code));
        }
        for code in [V4L2_PIX_FMT_RGB24, V4L2_PIX_FMT_BGR24] {
            assert!(!read.contains(&code) && written.contains(&code));
        }
        for code in [V4L2_PIX_FMT_ARGB32, V4L2_PIX_FMT_BGR32] {
            assert!(read.contains(&code) && !written.contains(&code));
        }
    }

    #[test]
    fn encoded_buffers_have_whole_pages_of_a_byte_a_pixel() {
        for (asked, (width, height), size) in [
            (0, (0, 0), 4096),
            (0, (2, 2), 4096),
            (5000, (2, 2), 8192),
            (0, (1280, 720), 225 * 4096),
            (u32::MAX, (2, 2), 1 << 26),
            (0, (32768, 32768), 1 << 26),
        ] {
            let layout = Layout {
                format: find(V4L2_PIX_FMT_H264).expect("a format"),
                width,
                height,
                planes: 1,
                strides: [7; 3],
                sizes: [asked, 0, 0],
            };
            let layout = layout.tried(None, &Faults::default());
            assert_eq!((layout.sizes[0], layout.strides[0]), (size, 0), "{asked}");
        }
    }
}
