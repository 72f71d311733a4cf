// SPDX-License-Identifier: MIT OR Apache-2.0
//! What the recorder tells, as the messages of an element.

use gst::prelude::*;

use super::CAT;
use avi_mjpeg::recorder::inputs::{AHEAD_AT_START, Refused};
use avi_mjpeg::recorder::{Jump, Notice, RecordError};
use avi_mjpeg::writer::WriteError;

/// Posts warnings, each kind once for a file.
#[derive(Debug)]
pub(super) struct Warnings {
    element: gst::glib::WeakRef<gst::Element>,
    of_rate: bool,
    of_damage: bool,
    of_empty: bool,
    /// A file for the K210 has another frame in the place of a missing one, which is worth a warning.
    is_repeating: bool,
}

impl Warnings {
    pub fn new(element: &gst::Element, is_repeating: bool) -> Self {
        Self {
            element: element.downgrade(),
            of_rate: false,
            of_damage: false,
            of_empty: false,
            is_repeating,
        }
    }

    pub fn tell(&mut self, notice: &Notice) {
        let Some(element) = self.element.upgrade() else {
            return;
        };
        match notice {
            Notice::Repeated {
                frames, damaged, ..
            } if frames > damaged => self.warn_of_rate(&element),
            Notice::Dropped { stream, time } => {
                gst::debug!(
                    CAT,
                    obj = element,
                    "stream {stream}: dropping a frame too many at {time} ns"
                );
                if self.is_repeating {
                    self.warn_of_rate(&element);
                }
            }
            Notice::Damaged { number, damage } => {
                gst::debug!(CAT, obj = element, "frame {number}: {damage}");
                if !std::mem::replace(&mut self.of_damage, true) {
                    gst::element_warning!(
                        element,
                        gst::StreamError::Decode,
                        ("Frame {number} is left out, as it would end playback on a K210: \
                             {damage}. The last one is repeated; the stats property counts \
                             those dropped.")
                    );
                }
            }
            Notice::Empty { stream } => {
                if !std::mem::replace(&mut self.of_empty, true) {
                    gst::element_warning!(
                        element,
                        gst::StreamError::Mux,
                        ("An empty buffer came on stream {stream}, which is no picture; it is \
                             left out. The stats property counts those dropped.")
                    );
                }
            }
            Notice::Nothing { stream } => gst::element_warning!(
                element,
                gst::StreamError::Mux,
                ("Nothing came on stream {stream}; it is in the file, and empty.")
            ),
            Notice::Stalled { sound } => gst::element_warning!(
                element,
                gst::StreamError::Mux,
                (
                    "No frame came in {} s of sound; the last one is repeated until another \
                     comes. The stats property counts how often.",
                    sound / 1_000_000_000
                )
            ),
            Notice::Displaced { stream, frames } => gst::element_warning!(
                element,
                gst::StreamError::Mux,
                ("{frames} frames of stream {stream} are shown later than their time: more came \
                     than the frame rate has places for, which changed while it was recorded. All of \
                     them are in the file.")
            ),
            Notice::SampleRate { stream, from, to } => gst::element_warning!(
                element,
                gst::StreamError::Mux,
                ("Sound on stream {stream} comes at {to} samples a second by its timestamps, and \
                     not at {from}, as its caps say. All of it is in the file, which says {to}.")
            ),
            Notice::TooMuchSound { stream } => gst::element_warning!(
                element,
                gst::StreamError::Mux,
                ("More sound comes on stream {stream} than its timestamps have room for at the \
                     rate of its caps; what is too much is left out. The stats property counts it.")
            ),
            Notice::Salvaged { bytes } => {
                gst::info!(CAT, obj = element, "the file ends at {bytes}")
            }
            Notice::Unfinished => gst::warning!(CAT, obj = element, "the file cannot be finished"),
            notice => gst::log!(CAT, obj = element, "{notice:?}"),
        }
    }

    fn warn_of_rate(&mut self, element: &gst::Element) {
        if !std::mem::replace(&mut self.of_rate, true) {
            gst::element_warning!(
                element,
                gst::StreamError::Mux,
                ("Frames do not come at the interval that the caps say; to keep the time, \
                     missing ones are repeated and those too many dropped. The stats \
                     property counts them.")
            );
        }
    }
}

/// Tells of pictures before the first readable one.
pub(super) fn unreadable(element: &gst::Element, frames: u64) {
    gst::element_warning!(
        element,
        gst::StreamError::Decode,
        ("{frames} pictures before the first readable one are left out: they are empty or cut, or \
             no JPEGs. The stats property counts those dropped.")
    );
}

/// Tells of times that began anew.
pub(super) fn jump(element: &gst::Element, pad: &gst::Pad, jump: Jump) {
    let seconds = |time: i64| time as f64 / 1e9;
    let text = format!(
        "The timestamps of pad {} jump from {:.3} s to {:.3} s",
        pad.name(),
        seconds(jump.from),
        seconds(jump.to)
    );
    if jump.is_known {
        gst::info!(CAT, obj = element, "{text}, as those of another pad");
        return;
    }
    gst::element_warning!(
        element,
        gst::StreamError::Mux,
        ("{text}; the file goes on right behind what was recorded before.")
    );
}

/// Tells that the file is without some pads, and that nothing came on others yet.
pub(super) fn not_there(element: &gst::Element, left_out: &[gst::Pad], awaited: &[gst::Pad]) {
    let left_out = left_out.iter().map(|pad| {
        format!(
            "Pad {} had nothing to say what it has; the file is without it.",
            pad.name()
        )
    });
    let awaited = awaited.iter().map(|pad| {
        format!(
            "Nothing came on pad {} so far; the file is begun without it, and has it from when \
             something comes.",
            pad.name()
        )
    });
    for text in left_out.chain(awaited) {
        gst::element_warning!(element, gst::StreamError::Mux, ("{text}"));
    }
}

/// Tells that the file is not begun before something comes on a pad.
pub(super) fn waiting(element: &gst::Element, pad: &gst::Pad, is_k210: bool) {
    let seconds = AHEAD_AT_START / 1_000_000_000;
    let text = match is_k210 {
        true => format!(
            "There are {seconds} s of sound and no frame yet; a file for the K210 begins \
             with a frame, so the sound is held back until one comes."
        ),
        false => format!(
            "There are {seconds} s of data and nothing on pad {} yet; what is downstream cannot \
             seek, so the file is not begun before something comes there, or its end.",
            pad.name()
        ),
    };
    gst::element_warning!(element, gst::StreamError::Mux, ("{text}"));
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

/// Posts why a recording ended that the sink did not end.
pub(super) fn failed(element: &gst::Element, error: &RecordError<gst::FlowError>) {
    const ON: &str = "It was finished; record on into another file, with splitmuxsink for example";
    match error {
        // The element downstream that failed has posted the reason.
        RecordError::Storage(_) => {}
        RecordError::Full(WriteError::FileFull { limit }) => gst::element_error!(
            element,
            gst::ResourceError::NoSpaceLeft,
            ("The file is full: without OpenDML extensions an AVI file ends at {limit} bytes. \
                 {ON}, or set big-file to true.")
        ),
        RecordError::Full(error) => gst::element_error!(
            element,
            gst::ResourceError::NoSpaceLeft,
            ("The file is full: {error}. {ON}.")
        ),
        RecordError::NoRoom { len } => gst::element_error!(
            element,
            gst::ResourceError::NoSpaceLeft,
            ("There is no space left for the file: it was finished at {len} bytes. Make room, \
                 or record on elsewhere.")
        ),
        RecordError::Frame { number, error } => gst::element_error!(
            element,
            gst::StreamError::Format,
            ("Frame {number} cannot be in a file for the K210: {error}.")
        ),
        RecordError::NoFrame { seconds } => gst::element_error!(
            element,
            gst::StreamError::Mux,
            ("There are {seconds} s of sound and no frame yet, but a file for the K210 begins \
                 with one; look at where the frames should come from.")
        ),
        error => gst::element_error!(element, gst::StreamError::Mux, ("{error}.")),
    }
}
