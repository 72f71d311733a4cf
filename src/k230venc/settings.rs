// SPDX-License-Identifier: MIT OR Apache-2.0
//! The element's properties and what they mean to VENC.

use std::path::PathBuf;

use k230_venc::{
    ChannelAttr, Codec, Entropy, MAX_BITRATE, MAX_GOP, Mirror, PixelFormat, Profile, RateControl,
    Rotation,
};

/// How the encoder is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstK230VencBackend")]
pub enum Backend {
    /// The first that works: v4l2, then mpp, then element.
    #[default]
    #[enum_value(
        name = "Auto: the K230's V4L2 device, else the MPP library, else an element",
        nick = "auto"
    )]
    Auto,
    /// The chip's V4L2 device.
    #[enum_value(name = "V4L2: the K230's encoder on Linux", nick = "v4l2")]
    V4l2,
    /// The SDK's library.
    #[enum_value(name = "MPP: the C library of Kendryte's SDK", nick = "mpp")]
    Mpp,
    /// An encoder element of this machine.
    #[enum_value(
        name = "Element: a GStreamer encoder of this machine",
        nick = "element"
    )]
    Element,
}

/// The rate control of H.264 and H.265.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstK230VencRateControl")]
pub enum RateControlMode {
    /// Constant bit rate.
    #[default]
    #[enum_value(name = "CBR: constant bit rate", nick = "cbr")]
    Cbr,
    /// Variable bit rate.
    #[enum_value(name = "VBR: variable bit rate under a ceiling", nick = "vbr")]
    Vbr,
    /// Fixed quantizers.
    #[enum_value(name = "FIXQP: fixed quantizers", nick = "fixqp")]
    FixQp,
}

/// Mirroring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstK230VencMirror")]
pub enum MirrorMode {
    /// As it comes.
    #[default]
    #[enum_value(name = "None: as it comes", nick = "none")]
    None,
    /// Left and right.
    #[enum_value(name = "Horizontal: left and right exchanged", nick = "horizontal")]
    Horizontal,
    /// Top and bottom.
    #[enum_value(name = "Vertical: top and bottom exchanged", nick = "vertical")]
    Vertical,
}

/// Rotation, clockwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstK230VencRotation")]
pub enum RotationMode {
    /// As it comes.
    #[default]
    #[enum_value(name = "0: as it comes", nick = "0")]
    None,
    /// A quarter turn clockwise.
    #[enum_value(name = "90: a quarter turn clockwise", nick = "90")]
    Quarter,
    /// Half a turn.
    #[enum_value(name = "180: half a turn", nick = "180")]
    Half,
    /// A quarter turn counter-clockwise.
    #[enum_value(name = "270: a quarter turn counter-clockwise", nick = "270")]
    ThreeQuarters,
}

/// Entropy coding of H.264.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstK230VencEntropy")]
pub enum EntropyMode {
    /// Variable length codes.
    #[enum_value(name = "CAVLC: variable length codes", nick = "cavlc")]
    Cavlc,
    /// Arithmetic coding.
    #[default]
    #[enum_value(name = "CABAC: arithmetic coding, CAVLC in baseline", nick = "cabac")]
    Cabac,
}

/// What the user set. Written by the property setters, read by the streaming thread.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub backend: Backend,
    pub device: Option<PathBuf>,
    pub library: Option<PathBuf>,
    pub engine: Option<String>,
    pub channel: i32,
    pub frame_rate: gst::Fraction,
    pub gop_length: u32,
    pub rate_control: RateControlMode,
    pub bitrate: u32,
    pub max_bitrate: u32,
    pub qp_i: u32,
    pub qp_p: u32,
    pub jpeg_quality: u32,
    pub roi_qp_delta: i32,
    /// `None` until set.
    pub output_buffers: Option<u32>,
    pub mirror: MirrorMode,
    pub rotation: RotationMode,
    pub entropy_mode: EntropyMode,
    pub deblock: bool,
    pub sao: bool,
}

/// Stream buffers of a channel, as in CanMV's and the SDK's samples.
pub(super) const OUTPUT_BUFFERS: u32 = 15;

/// What the properties say until they are set.
pub(super) const DEFAULTS: Settings = Settings {
    backend: Backend::Auto,
    device: None,
    library: None,
    engine: None,
    channel: -1,
    frame_rate: gst::Fraction::new_raw(0, 1),
    gop_length: 30,
    rate_control: RateControlMode::Cbr,
    bitrate: 4000,
    max_bitrate: 0,
    qp_i: 28,
    qp_p: 30,
    jpeg_quality: 50,
    roi_qp_delta: 0,
    output_buffers: None,
    mirror: MirrorMode::None,
    rotation: RotationMode::None,
    entropy_mode: EntropyMode::Cabac,
    deblock: true,
    sao: true,
};

impl Default for Settings {
    fn default() -> Self {
        DEFAULTS
    }
}

impl Settings {
    pub(super) fn output_buffers(&self) -> u32 {
        self.output_buffers.unwrap_or(OUTPUT_BUFFERS)
    }

    /// Buffers that may be out downstream at once: what the user set, to the letter. Left alone
    /// there is no limit, since what goes downstream is not the device's memory, and sinks that
    /// collect a GOP (`splitmuxsink`, `hlssink2`) or half a minute (`circularsink`) would wait for
    /// ever.
    pub(super) fn held_limit(&self) -> Option<u32> {
        // A sink keeps the last buffer it showed, so one alone would never come back.
        self.output_buffers.map(|set| set.max(2))
    }

    pub(super) fn rate(&self, codec: Codec) -> RateControl {
        match (codec, self.rate_control) {
            (Codec::Jpeg, _) => RateControl::JpegQuality {
                factor: self.jpeg_quality,
            },
            (_, RateControlMode::Cbr) => RateControl::Cbr {
                bitrate: self.bitrate,
            },
            (_, RateControlMode::Vbr) => RateControl::Vbr {
                bitrate: self.bitrate,
                max_bitrate: match self.max_bitrate {
                    0 => self
                        .bitrate
                        .saturating_add(self.bitrate / 2)
                        .min(MAX_BITRATE.max(self.bitrate)),
                    set => set,
                },
            },
            (_, RateControlMode::FixQp) => RateControl::FixQp {
                i: self.qp_i,
                p: self.qp_p,
            },
        }
    }

    pub(super) fn rotation(&self) -> Rotation {
        match self.rotation {
            RotationMode::None => Rotation::None,
            RotationMode::Quarter => Rotation::Quarter,
            RotationMode::Half => Rotation::Half,
            RotationMode::ThreeQuarters => Rotation::ThreeQuarters,
        }
    }

    /// The rate that frames are left out to keep; `None` if they all stay, as they come no faster.
    pub(super) fn lower_rate(&self, source: gst::Fraction) -> Option<gst::Fraction> {
        let known = source.numer() > 0;
        let asked = self.frame_rate;
        (asked.numer() > 0 && (!known || asked < source)).then_some(asked)
    }

    /// The attributes of a channel for these pictures.
    pub(super) fn attr(
        &self,
        codec: Codec,
        profile: Profile,
        info: &gst_video::VideoInfo,
        format: PixelFormat,
    ) -> ChannelAttr {
        let fps = self.lower_rate(info.fps()).unwrap_or(info.fps());
        ChannelAttr {
            codec,
            profile,
            level: None,
            width: info.width(),
            height: info.height(),
            format,
            framerate: (fps.numer().max(0) as u32, fps.denom().max(0) as u32),
            rate: self.rate(codec),
            gop: self.gop_length,
            stream_buffers: self.output_buffers(),
            mirror: match self.mirror {
                MirrorMode::None => Mirror::None,
                MirrorMode::Horizontal => Mirror::Horizontal,
                MirrorMode::Vertical => Mirror::Vertical,
            },
            rotation: self.rotation(),
            entropy: match self.entropy_mode {
                EntropyMode::Cavlc => Entropy::Cavlc,
                EntropyMode::Cabac => Entropy::Cabac,
            },
            deblock: self.deblock,
            sao: self.sao,
        }
    }
}

const _: () = assert!(
    MAX_GOP == 65_535 && MAX_BITRATE == 240_000,
    "the blurbs say so"
);
