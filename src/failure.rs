// SPDX-License-Identifier: MIT OR Apache-2.0
//! One failure, one error: what an element answers when the reason is on the bus.
//!
//! `GST_FLOW_ERROR` has each source upstream post "Internal data stream error" behind the error that
//! says what happened, and then send EOS. To the end of the stream sources, parsers, queues and
//! demuxers add no error: they only send EOS, and files on other branches are completed.

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

/// The answer to upstream for downstream's: whoever fails there has posted why, as GStreamer asks
/// of elements that return `GST_FLOW_ERROR`.
pub fn passed_on(flow: gst::FlowError) -> gst::FlowError {
    match flow {
        gst::FlowError::Error => POSTED,
        flow => flow,
    }
}
