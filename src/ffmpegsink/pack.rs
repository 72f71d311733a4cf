// SPDX-License-Identifier: MIT OR Apache-2.0
//! Raw pictures as ffmpeg expects them, without bytes between their rows.

use gst::prelude::*;
use gst_video::prelude::*;

/// Removes the bytes that GStreamer leaves at the end of a planar picture's rows when the width is
/// not a multiple of eight: ffmpeg expects none.
pub(crate) fn pack_tightly(pad: &gst::Pad) {
    pad.add_probe(gst::PadProbeType::BUFFER, |pad, info| {
        let Some(video) = pad
            .current_caps()
            .and_then(|caps| gst_video::VideoInfo::from_caps(&caps).ok())
        else {
            return gst::PadProbeReturn::Ok;
        };
        let planar = matches!(
            video.format(),
            gst_video::VideoFormat::I420 | gst_video::VideoFormat::Yv12
        );
        let ragged = planar && !video.width().is_multiple_of(8);
        let meta = info
            .buffer()
            .is_some_and(|buffer| buffer.meta::<gst_video::VideoMeta>().is_some());
        if (ragged || meta)
            && let Some(buffer) = info.buffer_mut()
            && let Some(packed) = pack(buffer, &video, planar, ragged)
        {
            *buffer = packed;
        }
        gst::PadProbeReturn::Ok
    });
}

/// `None` when the picture is as ffmpeg expects it, or is no picture.
fn pack(
    buffer: &gst::Buffer,
    video: &gst_video::VideoInfo,
    planar: bool,
    ragged: bool,
) -> Option<gst::Buffer> {
    let frame = gst_video::VideoFrameRef::from_buffer_ref_readable(buffer, video).ok()?;
    let default = frame.plane_stride() == video.stride() && frame.plane_offset() == video.offset();
    if default && !ragged {
        return None;
    }
    let mut packed = Vec::with_capacity(buffer.size());
    for plane in 0..frame.n_planes() {
        // One component a plane in the planar formats, one plane in the others.
        let component = plane;
        let stride = usize::try_from(*frame.plane_stride().get(plane as usize)?).ok()?;
        let wanted = if planar {
            frame.comp_width(component) as usize
        } else {
            usize::try_from(*video.stride().get(plane as usize)?).ok()?
        };
        let rows = frame.comp_height(component) as usize;
        for row in frame.plane_data(plane).ok()?.chunks(stride).take(rows) {
            let end = packed.len() + wanted;
            packed.extend(row.iter().take(wanted));
            packed.resize(end, 0);
        }
    }
    let mut copy = gst::Buffer::from_mut_slice(packed);
    let flags = gst::BufferCopyFlags::FLAGS | gst::BufferCopyFlags::TIMESTAMPS;
    buffer.copy_into(copy.get_mut()?, flags, ..).ok()?;
    Some(copy)
}
