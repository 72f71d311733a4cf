// SPDX-License-Identifier: MIT OR Apache-2.0
//! One failure, one error: what an element answers when the reason is on the bus.
//!
//! `GST_FLOW_ERROR` has each source upstream post "Internal data stream error" behind the error that
//! says what happened, and then send EOS. To the end of the stream sources, parsers, queues and
//! demuxers add no error: they only send EOS, and files on other branches are completed.
//!
//! That is for failures that this plugin has posted. What downstream answers is passed on as it is: not all elements
//! post why they fail (`jpegdec` does not for a picture in CMYK), and then the source's error is the only one.

/// The answer when the error has been posted, and something went downstream before it.
pub const POSTED: gst::FlowError = gst::FlowError::Eos;

/// The answer when the error has been posted. EOS of a stream that never `began` completes nothing,
/// and is an error of its own to parsers: "No valid frames found before end of stream".
pub fn posted(began: bool) -> gst::FlowError {
    match began {
        true => POSTED,
        false => gst::FlowError::Flushing,
    }
}
