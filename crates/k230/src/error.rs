// SPDX-License-Identifier: MIT OR Apache-2.0
//! VENC's error codes and what to do about each.

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

/// The numbers `K_DEF_ERR` is built from in `k_errno.h`: 0xa0000000, the module in bits 16 and
/// up (VENC is 9), the level in bits 13 to 15 (4, error), and the reason.
const fn venc_error(reason: i32) -> i32 {
    (0xa000_0000u32 | (9 << 16) | (4 << 13)) as i32 | reason
}

/// A `K_ERR_VENC_*` code of `k_venc_comm.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    /// The device number is out of range.
    InvalidDevId,
    /// The channel number is out of range.
    InvalidChnId,
    /// A parameter is out of range.
    IllegalParam,
    /// The channel exists already.
    Exist,
    /// The channel does not exist.
    Unexist,
    /// A pointer is null.
    NullPtr,
    /// Something has to be configured first.
    NotConfig,
    /// Not supported.
    NotSupport,
    /// Not allowed in the channel's state.
    NotPerm,
    /// Out of memory.
    NoMem,
    /// No VB block of the size needed is free.
    NoBuf,
    /// There is no data.
    BufEmpty,
    /// There is no room.
    BufFull,
    /// The system is not initialised.
    NotReady,
    /// An address is not one of the device's.
    BadAddr,
    /// The device is busy.
    Busy,
    /// A code of another module, or none of `k_errno.h`.
    Other(i32),
}

const CODES: [(Code, i32, &str); 16] = [
    (Code::InvalidDevId, 1, "K_ERR_VENC_INVALID_DEVID"),
    (Code::InvalidChnId, 2, "K_ERR_VENC_INVALID_CHNID"),
    (Code::IllegalParam, 3, "K_ERR_VENC_ILLEGAL_PARAM"),
    (Code::Exist, 4, "K_ERR_VENC_EXIST"),
    (Code::Unexist, 5, "K_ERR_VENC_UNEXIST"),
    (Code::NullPtr, 6, "K_ERR_VENC_NULL_PTR"),
    (Code::NotConfig, 7, "K_ERR_VENC_NOT_CONFIG"),
    (Code::NotSupport, 8, "K_ERR_VENC_NOT_SUPPORT"),
    (Code::NotPerm, 9, "K_ERR_VENC_NOT_PERM"),
    (Code::NoMem, 12, "K_ERR_VENC_NOMEM"),
    (Code::NoBuf, 13, "K_ERR_VENC_NOBUF"),
    (Code::BufEmpty, 14, "K_ERR_VENC_BUF_EMPTY"),
    (Code::BufFull, 15, "K_ERR_VENC_BUF_FULL"),
    (Code::NotReady, 16, "K_ERR_VENC_NOTREADY"),
    (Code::BadAddr, 17, "K_ERR_VENC_BADADDR"),
    (Code::Busy, 18, "K_ERR_VENC_BUSY"),
];

impl Code {
    /// The code that a function of the MPP returned.
    pub fn from_raw(raw: i32) -> Self {
        CODES
            .iter()
            .find(|(_, reason, _)| venc_error(*reason) == raw)
            .map_or(Self::Other(raw), |(code, ..)| *code)
    }

    /// The number a C program sees.
    pub fn raw(self) -> i32 {
        match self {
            Self::Other(raw) => raw,
            known => CODES
                .iter()
                .find(|(code, ..)| *code == known)
                .map_or(-1, |(_, reason, _)| venc_error(*reason)),
        }
    }

    /// The name in `k_venc_comm.h`.
    pub fn name(self) -> &'static str {
        CODES
            .iter()
            .find(|(code, ..)| *code == self)
            .map_or("not a VENC code", |(_, _, name)| name)
    }

    /// What a user can do about it.
    pub fn advice(self) -> &'static str {
        match self {
            Self::InvalidDevId | Self::InvalidChnId => {
                "channels are 0 to 3; use channel=-1 for the next free one"
            }
            Self::IllegalParam => "bring the value into its range",
            Self::Exist => {
                "another part of this program holds the channel; choose another with channel="
            }
            Self::Unexist => "the channel was destroyed under the element; restart the pipeline",
            Self::NullPtr => "report this as a bug",
            Self::NotConfig | Self::NotReady => {
                "check that the MPP runs and that no other program initialised it half"
            }
            Self::NotSupport => "choose another codec, profile or setting, or backend=element",
            Self::NotPerm => "the channel is not in the state for this; restart the pipeline",
            Self::NoMem => "lower output-buffers or the size of the picture",
            Self::NoBuf => {
                "configure VB pools with enough blocks before, or lower output-buffers or the size \
                 of the picture"
            }
            Self::BufEmpty => "the encoder gives nothing; check that it runs",
            Self::BufFull => {
                "the encoder does not keep up; lower the frame rate or the size, or release its \
                 streams sooner"
            }
            Self::Busy => "free a channel, or lower the frame rate or the size",
            Self::BadAddr => "report this as a bug of the library",
            Self::Other(_) => "look the number up in the SDK's k_errno.h",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:08x})", self.name(), self.raw())
    }
}

/// Why the encoder could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// VENC said no; `what` is the call or the value it is about.
    #[error("{what}: {code}; {}", code.advice())]
    Refused {
        /// VENC's code.
        code: Code,
        /// The call, or the value and its range.
        what: String,
    },
    /// The shared library cannot be loaded, or is not the MPP.
    #[error("{path}: {reason}", path = path.display())]
    Library {
        /// The library's file, or the name given to the loader.
        path: PathBuf,
        /// The loader's words, or the function it lacks.
        reason: String,
    },
    /// No library was named and none of the usual names is on this machine.
    #[error(
        "no MPP library: none of {tried} can be loaded; name one with library= or K230_MPP_LIBRARY"
    )]
    NoLibrary {
        /// The names that were tried.
        tried: String,
    },
    /// A call to the device node failed.
    #[error("{path}: {call}: {text}; {advice}", path = path.display(), advice = errno_advice(*errno))]
    Device {
        /// The node.
        path: PathBuf,
        /// The call or request.
        call: &'static str,
        /// The system's number for the error, 0 if it gave none.
        errno: i32,
        /// The system's words.
        text: String,
    },
    /// The device node that was named is another driver's.
    #[error("{path}: the driver is {driver}, not mvx, so it is not the K230's encoder", path = path.display())]
    OtherDriver {
        /// The node.
        path: PathBuf,
        /// The driver's name.
        driver: String,
    },
    /// No device node was named and none of the machine's is the encoder's.
    #[error(
        "no V4L2 device of the driver mvx: none of /dev/video* is the K230's encoder; load the \
         driver, or name a device with device= or K230_V4L2_DEVICE"
    )]
    NoDevice,
    /// The encoder gave a frame back as damaged. The stream goes on with an IDR.
    #[error("{path}: the encoder gave a frame back as damaged", path = path.display())]
    Damaged {
        /// The device.
        path: PathBuf,
    },
    /// This machine has no GStreamer encoder for the codec.
    #[error("no encoder element for {codec} is installed: install one of {wanted}")]
    NoElement {
        /// The codec asked for.
        codec: &'static str,
        /// Factory names that would do.
        wanted: String,
    },
    /// A call did not come back, or a frame's stream did not, in the time a device has.
    #[error(
        "{what} took longer than {} s ({}); the encoder hangs: stop the program, check the device, \
         and start it again", after.as_secs_f32(), Code::BufEmpty
    )]
    Stuck {
        /// The call.
        what: String,
        /// How long was waited.
        after: Duration,
    },
}

/// What a user can do about an error of the system.
fn errno_advice(errno: i32) -> &'static str {
    match errno {
        libc::EACCES | libc::EPERM => {
            "the user may not use the device; add it to the group that owns the node, mostly video"
        }
        libc::ENOENT | libc::ENXIO => "there is no such device; check that the driver is loaded",
        libc::EBUSY => "the device is busy; end the other program that encodes",
        libc::ENODEV => "the device is gone; check the kernel's log, and restart the pipeline",
        libc::EIO | libc::ETIME | libc::ETIMEDOUT => {
            "the encoder failed; check the kernel's log, and restart the pipeline"
        }
        libc::ENOMEM => "there is not enough contiguous memory; lower the size of the picture",
        libc::ENOTTY | libc::EINVAL => {
            "the driver does not take this; k230-probe shows what it has, for a report"
        }
        _ => "k230-probe shows what the device has, for a report",
    }
}

impl Error {
    /// The system's error of a call to a device.
    pub(crate) fn device(path: &Path, call: &'static str, error: &io::Error) -> Self {
        Self::Device {
            path: path.into(),
            call,
            errno: error.raw_os_error().unwrap_or_default(),
            text: error.to_string(),
        }
    }

    /// The system's number, where the error is the system's.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Device { errno, .. } => Some(*errno),
            _ => None,
        }
    }

    /// VENC's refusal of a call or value.
    pub fn refused(code: Code, what: impl Into<String>) -> Self {
        Self::Refused {
            code,
            what: what.into(),
        }
    }

    /// A value out of its range.
    pub fn illegal(what: impl Into<String>) -> Self {
        Self::refused(Code::IllegalParam, what)
    }

    /// VENC's code, where there is one.
    pub fn code(&self) -> Option<Code> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::Stuck { .. } => Some(Code::BufEmpty),
            _ => None,
        }
    }

    /// Whether the same call can succeed a moment later.
    pub fn is_transient(&self) -> bool {
        matches!(
            self,
            Self::Refused {
                code: Code::BufEmpty | Code::BufFull | Code::Busy,
                ..
            }
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The table of K230_视频编解码_API参考.md, chapter 5.
    #[test]
    fn codes_have_the_numbers_of_the_manual() {
        for (code, raw) in [
            (Code::InvalidDevId, 0xa009_8001u32),
            (Code::IllegalParam, 0xa009_8003),
            (Code::NotPerm, 0xa009_8009),
            (Code::NoMem, 0xa009_800c),
            (Code::BufEmpty, 0xa009_800e),
            (Code::Busy, 0xa009_8012),
        ] {
            assert_eq!(code.raw(), raw as i32);
            assert_eq!(Code::from_raw(raw as i32), code);
        }
        assert_eq!(Code::from_raw(-1), Code::Other(-1));
        assert_eq!(Code::Other(7).raw(), 7);
    }

    #[test]
    fn a_refusal_names_the_code_and_what_to_do() {
        let text = Error::illegal("bitrate 0 kbit/s is not within 1..=240000").to_string();
        assert!(text.contains("K_ERR_VENC_ILLEGAL_PARAM (0xa0098003)"));
        assert!(text.contains("bitrate 0"));
    }
}
