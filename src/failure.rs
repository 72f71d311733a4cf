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

/// Posts that a buffer cannot be read.
pub fn unreadable(element: Option<&gst::Element>) -> gst::FlowError {
    if let Some(element) = element {
        let text = "A buffer cannot be read";
        gst::element_error!(element, gst::ResourceError::Read, ("{text}"));
    }
    gst::FlowError::Error
}

/// Posts why playing a file stops, if whoever stopped it has not.
pub fn explain(element: &gst::Element, flow: gst::FlowError) {
    let sentence = match flow {
        // Whoever returned Error has posted the reason.
        gst::FlowError::Flushing | gst::FlowError::Eos | gst::FlowError::Error => return,
        gst::FlowError::NotLinked => "None of the file's streams is linked to an element",
        gst::FlowError::NotNegotiated => {
            "What a stream of the file is linked to does not take its format"
        }
        _ => "Playing the file stopped",
    };
    gst::element_error!(
        element,
        gst::StreamError::Failed,
        ("{sentence}"),
        ["streaming stopped, reason {flow:?}"]
    );
}
