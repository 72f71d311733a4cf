// SPDX-License-Identifier: MIT OR Apache-2.0
//! VENC's errors as GStreamer's.

use k230_venc::{Code, Error};

/// One element error for one of ours.
pub(super) fn error_message(error: &Error) -> gst::ErrorMessage {
    let text = error.to_string();
    match error {
        Error::Library { .. }
        | Error::NoLibrary { .. }
        | Error::NoDevice
        | Error::OtherDriver { .. } => {
            gst::error_msg!(gst::ResourceError::NotFound, ("{text}"))
        }
        Error::NoElement { .. } => gst::error_msg!(gst::CoreError::MissingPlugin, ("{text}")),
        Error::Device { errno, .. } => match *errno {
            libc::ENOENT | libc::ENXIO | libc::ENODEV => {
                gst::error_msg!(gst::ResourceError::NotFound, ("{text}"))
            }
            libc::EBUSY => gst::error_msg!(gst::ResourceError::Busy, ("{text}")),
            libc::EACCES | libc::EPERM => {
                gst::error_msg!(gst::ResourceError::NotAuthorized, ("{text}"))
            }
            libc::ENOMEM => gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("{text}")),
            libc::EINVAL | libc::ENOTTY | libc::ERANGE => {
                gst::error_msg!(gst::LibraryError::Settings, ("{text}"))
            }
            _ => gst::error_msg!(gst::ResourceError::Failed, ("{text}")),
        },
        Error::Damaged { .. } => gst::error_msg!(gst::StreamError::Encode, ("{text}")),
        Error::Stuck { .. } => gst::error_msg!(gst::ResourceError::Failed, ("{text}")),
        Error::Refused { code, .. } => match code {
            Code::IllegalParam | Code::NotSupport => {
                gst::error_msg!(gst::LibraryError::Settings, ("{text}"))
            }
            Code::InvalidChnId | Code::InvalidDevId | Code::Unexist => {
                gst::error_msg!(gst::ResourceError::NotFound, ("{text}"))
            }
            Code::Busy | Code::Exist | Code::BufFull => {
                gst::error_msg!(gst::ResourceError::Busy, ("{text}"))
            }
            Code::NoMem | Code::NoBuf => {
                gst::error_msg!(gst::ResourceError::NoSpaceLeft, ("{text}"))
            }
            Code::NotReady | Code::NotConfig => {
                gst::error_msg!(gst::ResourceError::OpenReadWrite, ("{text}"))
            }
            _ => gst::error_msg!(gst::StreamError::Encode, ("{text}")),
        },
    }
}
