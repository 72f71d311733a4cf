// SPDX-License-Identifier: MIT OR Apache-2.0
//! The element's properties and what they mean to VENC.

use std::path::PathBuf;
use std::sync::LazyLock;

use glib::prelude::*;
use gst::prelude::*;

use k230_venc::{
    ChannelAttr, Codec, Entropy, MAX_BITRATE, MAX_GOP, Mirror, PixelFormat, Profile, RateControl,
    Rotation,
};

/// How the encoder is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, glib::Enum)]
#[enum_type(name = "GstK230VencBackend")]
pub enum Backend {
    /// The first that works: mpp where the library is there, else element.
    #[default]
    #[enum_value(
        name = "Auto: the MPP library if it works, else an element",
        nick = "auto"
    )]
    Auto,
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
    pub library: Option<PathBuf>,
    pub engine: Option<String>,
    pub channel: i32,
    pub gop_length: u32,
    pub rate_control: RateControlMode,
    pub bitrate: u32,
    pub max_bitrate: u32,
    pub qp_i: u32,
    pub qp_p: u32,
    pub jpeg_quality: u32,
    /// `None` until set.
    pub output_buffers: Option<u32>,
    pub mirror: MirrorMode,
    pub rotation: RotationMode,
    pub entropy_mode: EntropyMode,
    pub deblock: bool,
    pub sao: bool,
}

/// Stream buffers of a channel, as in CanMV's and the SDK's samples.
const OUTPUT_BUFFERS: u32 = 15;

impl Default for Settings {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            library: None,
            engine: None,
            channel: -1,
            gop_length: 30,
            rate_control: RateControlMode::Cbr,
            bitrate: 4000,
            max_bitrate: 0,
            qp_i: 28,
            qp_p: 30,
            jpeg_quality: 50,
            output_buffers: None,
            mirror: MirrorMode::None,
            rotation: RotationMode::None,
            entropy_mode: EntropyMode::Cabac,
            deblock: true,
            sao: true,
        }
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

    /// The attributes of a channel for these pictures.
    pub(super) fn attr(
        &self,
        codec: Codec,
        profile: Profile,
        info: &gst_video::VideoInfo,
        format: PixelFormat,
    ) -> ChannelAttr {
        let fps = info.fps();
        ChannelAttr {
            codec,
            profile,
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

    pub(super) fn set(&mut self, name: &str, value: &glib::Value) {
        // GObject has checked the type against the ParamSpec.
        fn get<'a, T: glib::value::FromValue<'a>>(value: &'a glib::Value) -> T {
            value.get().expect("the type of the ParamSpec")
        }
        match name {
            "backend" => self.backend = get(value),
            "library" => {
                self.library = get::<Option<String>>(value)
                    .filter(|path| !path.is_empty())
                    .map(PathBuf::from);
            }
            "engine" => {
                self.engine = get::<Option<String>>(value).filter(|name| !name.is_empty());
            }
            "channel" => self.channel = get(value),
            "gop-length" => self.gop_length = get(value),
            "rate-control" => self.rate_control = get(value),
            "bitrate" => self.bitrate = get(value),
            "max-bitrate" => self.max_bitrate = get(value),
            "qp-i" => self.qp_i = get(value),
            "qp-p" => self.qp_p = get(value),
            "jpeg-quality" => self.jpeg_quality = get(value),
            "output-buffers" => self.output_buffers = Some(get(value)),
            "mirror" => self.mirror = get(value),
            "rotation" => self.rotation = get(value),
            "entropy-mode" => self.entropy_mode = get(value),
            "deblock" => self.deblock = get(value),
            "sao" => self.sao = get(value),
            _ => unreachable!("no property {name}"),
        }
    }

    pub(super) fn get(&self, name: &str) -> glib::Value {
        match name {
            "backend" => self.backend.to_value(),
            "library" => self
                .library
                .as_ref()
                .map(|path| path.display().to_string())
                .to_value(),
            "engine" => self.engine.to_value(),
            "channel" => self.channel.to_value(),
            "gop-length" => self.gop_length.to_value(),
            "rate-control" => self.rate_control.to_value(),
            "bitrate" => self.bitrate.to_value(),
            "max-bitrate" => self.max_bitrate.to_value(),
            "qp-i" => self.qp_i.to_value(),
            "qp-p" => self.qp_p.to_value(),
            "jpeg-quality" => self.jpeg_quality.to_value(),
            "output-buffers" => self.output_buffers().to_value(),
            "mirror" => self.mirror.to_value(),
            "rotation" => self.rotation.to_value(),
            "entropy-mode" => self.entropy_mode.to_value(),
            "deblock" => self.deblock.to_value(),
            "sao" => self.sao.to_value(),
            _ => unreachable!("no property {name}"),
        }
    }
}

/// Numbers out of VENC's range are taken here and refused when the channel is created, with
/// VENC's code: GLib would drop them with a line on the console.
pub(super) static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    let d = Settings::default();
    let uint = |name: &str, nick: &str, blurb: &str, default: u32| {
        glib::ParamSpecUInt::builder(name)
            .nick(nick)
            .blurb(blurb)
            .default_value(default)
            .mutable_playing()
            .build()
    };
    vec![
        glib::ParamSpecEnum::builder_with_default("backend", d.backend)
            .nick("Backend")
            .blurb("How the encoder is reached: auto, mpp or element (default auto)")
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("library")
            .nick("MPP library")
            .blurb(
                "File of the MPP library for backend=mpp and auto (unset: the environment's \
                 K230_MPP_LIBRARY, else the usual names)",
            )
            .mutable_ready()
            .build(),
        glib::ParamSpecString::builder("engine")
            .nick("Encoder element")
            .blurb(
                "Factory of the encoder for backend=element and auto, as x264enc (unset: V4L2's \
                 if there is one, else the best software encoder installed)",
            )
            .mutable_ready()
            .build(),
        glib::ParamSpecInt::builder("channel")
            .nick("Channel")
            .blurb(
                "VENC channel, 0 to 3; -1 is the next free one of 0 to 2, as 3 is the IDE's on \
                 CanMV (default -1)",
            )
            .minimum(-1)
            .default_value(d.channel)
            .mutable_ready()
            .build(),
        uint(
            "gop-length",
            "GOP length",
            "Frames from one IDR to the next, 1 to 65535; H.264 and H.265 (default 30)",
            d.gop_length,
        ),
        glib::ParamSpecEnum::builder_with_default("rate-control", d.rate_control)
            .nick("Rate control")
            .blurb("Rate control of H.264 and H.265: cbr, vbr or fixqp (default cbr)")
            .mutable_playing()
            .build(),
        uint(
            "bitrate",
            "Bit rate",
            "Average bit rate in kbit/s, 1 to 240000; cbr and vbr (default 4000)",
            d.bitrate,
        ),
        uint(
            "max-bitrate",
            "Maximum bit rate",
            "Bit rate in kbit/s that no second exceeds, bitrate to 240000; vbr; 0 is one and a \
             half times bitrate (default 0)",
            d.max_bitrate,
        ),
        uint(
            "qp-i",
            "Quantizer of I frames",
            "Quantizer of I frames, 0 (finest) to 51; fixqp (default 28)",
            d.qp_i,
        ),
        uint(
            "qp-p",
            "Quantizer of P frames",
            "Quantizer of P frames, 0 (finest) to 51; fixqp (default 30)",
            d.qp_p,
        ),
        uint(
            "jpeg-quality",
            "JPEG quality",
            "Quality factor of JPEG, 1 (coarsest) to 99 (default 50)",
            d.jpeg_quality,
        ),
        glib::ParamSpecUInt::builder("output-buffers")
            .nick("Output buffers")
            .blurb(
                "Stream buffers of the channel, 1 to 256; once it is set, the element waits while \
                 so many buffers, but at least 2, are held downstream (default 15, and no waiting)",
            )
            .default_value(OUTPUT_BUFFERS)
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("mirror", d.mirror)
            .nick("Mirror")
            .blurb("Mirroring before the rotation: none, horizontal or vertical (default none)")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("rotation", d.rotation)
            .nick("Rotation")
            .blurb("Degrees clockwise: 0, 90, 180 or 270 (default 0)")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("entropy-mode", d.entropy_mode)
            .nick("Entropy mode")
            .blurb("Entropy coding of H.264: cavlc or cabac; baseline is cavlc (default cabac)")
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("deblock")
            .nick("Deblocking")
            .blurb("Deblocking filter of H.264 and H.265 (default true)")
            .default_value(d.deblock)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoolean::builder("sao")
            .nick("Sample adaptive offset")
            .blurb("Sample adaptive offset of H.265 (default true)")
            .default_value(d.sao)
            .mutable_ready()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb(
                "backend, encoder, channel, frames-in, frames-out, bytes-out, idr, held, stalls: \
                 what encodes, and counts since the start",
            )
            .read_only()
            .build(),
    ]
});

const _: () = assert!(
    MAX_GOP == 65_535 && MAX_BITRATE == 240_000,
    "the blurbs say so"
);
