// SPDX-License-Identifier: MIT OR Apache-2.0
//! A muxer that a test feeds by hand, and what is in the file that comes out.
#![allow(dead_code)]

use std::path::Path;

use gst::prelude::*;

pub(crate) use crate::avi_bytes::jpeg_head;
use crate::common::Pipeline;
use jpeg_head::{HALVED, jpeg_head};

/// A picture's start, as far as a muxer looks at it, and then bytes that tell its number.
pub(crate) fn picture(number: u32, size: usize) -> Vec<u8> {
    let mut bytes = jpeg_head(320, 240, &HALVED);
    bytes.extend(number.to_be_bytes());
    bytes.resize(size.max(bytes.len()), 0xa5);
    bytes
}

pub(crate) const JPEG: &str = "image/jpeg,parsed=true,width=320,height=240";
pub(crate) const PCM: &str = "audio/x-raw,layout=interleaved,format=S16LE";

/// A muxer whose pads a test pushes into, one buffer at a time and in its own thread.
pub(crate) struct Feed {
    pub pipeline: Pipeline,
    pub mux: gst::Element,
    pub pads: Vec<gst::Pad>,
}

impl Feed {
    /// `mux ! filesink`, with a pad for each of the caps.
    pub(crate) fn new(properties: &str, path: &Path, caps: &[String]) -> Self {
        Self::into_sink(
            properties,
            &format!("filesink location={}", path.display()),
            caps,
        )
    }

    pub(crate) fn into_sink(properties: &str, sink: &str, caps: &[String]) -> Self {
        let pipeline = Pipeline::launch(&format!("avimjpegmux name=mux {properties} ! {sink}"));
        let mux = pipeline.element("mux");
        let pads: Vec<_> = caps.iter().map(|caps| link(&mux, caps)).collect();
        // Without a frame it does not preroll, so this is asynchronous.
        pipeline.play();
        let feed = Self {
            pipeline,
            mux,
            pads,
        };
        for (pad, caps) in feed.pads.iter().zip(caps) {
            begin(pad, caps);
        }
        feed
    }

    pub(crate) fn push(
        &self,
        pad: usize,
        bytes: Vec<u8>,
        milliseconds: f64,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut buffer = gst::Buffer::from_slice(bytes);
        let time = gst::ClockTime::from_nseconds((milliseconds * 1e6) as u64);
        buffer.get_mut().unwrap().set_pts(time);
        self.pads[pad].push(buffer)
    }

    pub(crate) fn end(&self) -> Result<(), String> {
        for pad in &self.pads {
            pad.push_event(gst::event::Eos::new());
        }
        self.pipeline.wait()
    }

    pub(crate) fn stat(&self, name: &str) -> u64 {
        self.mux
            .property::<gst::Structure>("stats")
            .get(name)
            .unwrap()
    }
}

/// A pad of the test's own, linked to a new one of the muxer.
pub(crate) fn link(mux: &gst::Element, caps: &str) -> gst::Pad {
    let template = if caps.starts_with("image") {
        "video_%u"
    } else {
        "audio_%u"
    };
    let sink = mux.request_pad_simple(template).unwrap();
    let pad = gst::Pad::builder(gst::PadDirection::Src).build();
    pad.set_active(true).unwrap();
    pad.link(&sink).unwrap();
    pad
}

/// What comes before a stream's data.
pub(crate) fn begin(pad: &gst::Pad, caps: &str) -> bool {
    pad.push_event(gst::event::StreamStart::new(&pad.name()));
    let caps: gst::Caps = caps.parse().unwrap();
    let accepted = pad.push_event(gst::event::Caps::new(&caps));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    accepted && pad.push_event(gst::event::Segment::new(&segment))
}

/// Chunks of `movi` of the first RIFF, as `(stream, payload)`.
pub(crate) fn chunks(file: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let movi = file.windows(4).position(|bytes| bytes == b"movi").unwrap();
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let end = movi + word(movi - 4);
    let (mut found, mut at) = (Vec::new(), movi + 4);
    while at < end {
        let size = word(at + 4);
        if file[at].is_ascii_digit() {
            found.push((file[at + 1] - b'0', file[at + 8..at + 8 + size].to_vec()));
        }
        at += 8 + size + size % 2;
    }
    found
}

/// The sizes of the chunks of stream 0.
pub(crate) fn frame_sizes(file: &[u8]) -> Vec<usize> {
    let chunks = chunks(file).into_iter();
    chunks
        .filter(|(stream, _)| *stream == 0)
        .map(|(_, bytes)| bytes.len())
        .collect()
}

/// The numbers of the pictures of stream 0, `None` for empty chunks.
pub(crate) fn numbers(file: &[u8]) -> Vec<Option<u32>> {
    let at = jpeg_head(320, 240, &HALVED).len();
    chunks(file)
        .into_iter()
        .filter(|(stream, _)| *stream == 0)
        .map(|(_, bytes)| {
            Some(u32::from_be_bytes(
                bytes.get(at..at + 4)?.try_into().unwrap(),
            ))
        })
        .collect()
}
