// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the recorder tells, as the messages of an element.

use gst::prelude::*;

use super::CAT;
use crate::streams::sentences::nothing_came;
use crate::streams::stamps::backward_text;
use avi_mjpeg::recorder::inputs::Refused;
use avi_mjpeg::recorder::{InputNotice, Notice, RecordError};
use avi_mjpeg::writer::WriteError;

/// Warns of something that the recorder did.
pub(super) fn warn(element: &gst::Element, notice: &Notice) {
    let counted = match notice {
        Notice::Nothing { .. } | Notice::Displaced { .. } | Notice::SampleRate { .. } => "",
        _ => " The stats property counts this.",
    };
    match notice {
        Notice::Damaged { .. } | Notice::Unreadable { .. } => {
            gst::element_warning!(element, gst::StreamError::Decode, ("{notice}.{counted}"));
        }
        _ => gst::element_warning!(element, gst::StreamError::Mux, ("{notice}.{counted}")),
    }
}

/// Tells what there is to know of a pad.
pub(super) fn of_pad(element: &gst::Element, pad: &gst::Pad, notice: InputNotice) {
    let text = notice.sentence(&format!("pad {}", pad.name()));
    match notice.is_warning() {
        true => gst::element_warning!(element, gst::StreamError::Mux, ("{text}.")),
        false => gst::info!(CAT, obj = pad, "{text}"),
    }
}

/// Posts why a pad takes no data, unless it has ended.
pub(super) fn refused(element: &gst::Element, pad: &gst::Pad, refused: Refused) {
    match refused {
        Refused::Ended => {}
        Refused::NoFormat => gst::element_error!(
            element,
            gst::CoreError::Negotiation,
            ("Data came on pad {} before caps.", pad.name())
        ),
        Refused::NotInFile => gst::element_error!(
            element,
            gst::StreamError::Mux,
            (
                "Pad {} came when the file was already begun; all streams of an AVI file \
                 are named in its head. Link it before the pipeline starts.",
                pad.name()
            )
        ),
    }
}

/// Warns that there is no file.
pub(super) fn nothing(element: &gst::Element) {
    let text = nothing_came(&[], "there is no file, or it is empty.");
    gst::element_warning!(element, gst::StreamError::Mux, ("{text}"));
}

/// Posts that a pad takes nothing that is played backward.
pub(super) fn backward(element: &gst::Element, pad: &gst::Pad) {
    let text = backward_text(&format!("pad {}", pad.name()));
    gst::element_error!(element, gst::StreamError::Format, ("{text}."));
}

/// Posts why a recording ended that the sink did not end.
pub(super) fn failed(element: &gst::Element, error: &RecordError<gst::FlowError>) {
    let text = error.sentence();
    match error {
        // The element downstream that failed has posted the reason.
        RecordError::Storage(_) => {}
        RecordError::Full(full) => {
            let or = match full {
                WriteError::FileFull { .. } => ", or set big-file to true",
                _ => "",
            };
            gst::element_error!(
                element,
                gst::ResourceError::NoSpaceLeft,
                ("The file is full: {full}. It was finished; record on into another file, with splitmuxsink for \
                 example{or}.")
            );
        }
        RecordError::NoRoom { .. } => gst::element_error!(
            element,
            gst::ResourceError::NoSpaceLeft,
            ("{text}. Make room, or record on elsewhere.")
        ),
        RecordError::Frame { .. } => {
            gst::element_error!(element, gst::StreamError::Format, ("{text}."));
        }
        RecordError::NoFrame { .. } => gst::element_error!(
            element,
            gst::StreamError::Mux,
            ("{text}; look at where the frames should come from.")
        ),
        _ => gst::element_error!(element, gst::StreamError::Mux, ("{text}.")),
    }
}
