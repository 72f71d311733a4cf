// SPDX-License-Identifier: MIT OR Apache-2.0
//! Pictures that the K210's player has room for. It reads a frame into a buffer of 35 KiB, and the muxer
//! refuses one that is larger; a recording would end with the first picture of a tree in the wind. So
//! a picture that came out too large is encoded again with less quality, which comes back by and by.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};

use gst::prelude::*;

use super::profile::SCREEN;

/// Bytes of a frame. The first one shares the player's 35 KiB with the head of the file, its tags
/// and the beginning of the sound.
const ROOM: usize = 32 * 1024;

/// The lowest quality that is tried.
const LEAST: i32 = 5;

/// What the quality rises by from one picture to the next, after it was lowered.
const STEP: i32 = 2;

/// Written by the thread of the pictures.
struct Trial {
    quality: AtomicI32,
    too_large: AtomicBool,
    told: AtomicBool,
}

/// Has `jpegenc` encode pictures again that are too large; they come to it from `source`.
pub(crate) fn encode_until_they_fit(source: &gst::Pad, encoder: &gst::Element) {
    let Some(encoded) = encoder.static_pad("src") else {
        return;
    };
    let wanted: i32 = encoder.property("quality");
    let trial = Arc::new(Trial {
        quality: AtomicI32::new(wanted),
        too_large: AtomicBool::new(false),
        told: AtomicBool::new(false),
    });
    let weak = encoder.downgrade();
    source.add_probe(gst::PadProbeType::BUFFER, {
        let trial = trial.clone();
        move |pad, info| {
            let (Some(encoder), Some(entry)) = (weak.upgrade(), pad.peer()) else {
                return gst::PadProbeReturn::Ok;
            };
            let Some(picture) = info.buffer().cloned() else {
                return gst::PadProbeReturn::Ok;
            };
            info.flow_res = trial.encode(&encoder, &entry, wanted, &picture);
            gst::PadProbeReturn::Handled
        }
    });
    encoded.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let fits = info.buffer().is_none_or(|jpeg| jpeg.size() <= ROOM);
        // What does not fit with the lowest quality is the muxer's to refuse.
        if fits || trial.quality.load(Ordering::Relaxed) <= LEAST {
            return gst::PadProbeReturn::Ok;
        }
        trial.too_large.store(true, Ordering::Relaxed);
        info.flow_res = Ok(gst::FlowSuccess::Ok);
        gst::PadProbeReturn::Handled
    });
}

impl Trial {
    fn encode(
        &self,
        encoder: &gst::Element,
        entry: &gst::Pad,
        wanted: i32,
        picture: &gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut quality = self.quality.load(Ordering::Relaxed);
        if quality < wanted {
            quality = (quality + STEP).min(wanted);
        }
        loop {
            self.quality.store(quality, Ordering::Relaxed);
            encoder.set_property("quality", quality);
            let flow = entry.chain(picture.clone());
            if !self.too_large.swap(false, Ordering::Relaxed) {
                return flow;
            }
            flow?;
            quality = (quality * 3 / 4).max(LEAST);
            if !self.told.swap(true, Ordering::Relaxed) {
                tell(encoder, wanted);
            }
        }
    }
}

fn tell(encoder: &gst::Element, wanted: i32) {
    let parent = encoder.parent().and_downcast::<gst::Bin>();
    if let Some(bin) = parent {
        gst::element_warning!(
            bin,
            gst::StreamError::Encode,
            (
                "Pictures are too large for the K210's player and are encoded with less quality \
                 than {wanted}; width={} height={} is what its screen has",
                SCREEN.0,
                SCREEN.1
            )
        );
    }
}
