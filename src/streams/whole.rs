// SPDX-License-Identifier: MIT OR Apache-2.0
//! Buffers that muxers and encoders can take: sound in whole samples, and pictures without gaps between their lines.
//!
//! What reads sound from a pipe or a socket cuts it anywhere. `audioconvert` and libav's encoders fail at a part of a
//! sample, and `matroskamux` makes noise of all that follows.

use avi_mjpeg::recorder::Whole;

/// The samples of one stream.
#[derive(Debug, Default)]
pub(crate) struct WholeSamples {
    /// Bytes of a sample of all channels; 0: a buffer is what it is.
    block: usize,
    whole: Whole<Vec<u8>>,
}

impl WholeSamples {
    /// Follows the stream's caps.
    pub(crate) fn set_caps(&mut self, caps: &gst::CapsRef) {
        let info = gst_audio::AudioInfo::from_caps(caps).ok();
        let is_woven = |info: &gst_audio::AudioInfo| {
            super::is_raw(caps) && info.layout() == gst_audio::AudioLayout::Interleaved
        };
        let block = info.filter(is_woven).map_or(0, |info| info.bpf() as usize);
        if block != self.block {
            self.block = block;
            self.whole.reset();
        }
    }

    /// What comes does not follow what came.
    pub(crate) fn reset(&mut self) {
        self.whole.reset();
    }

    /// Puts the rest of a sample that came before in front, and keeps the begin of one whose rest is still to come.
    /// False where there is no whole one yet. What goes wrong is told in `cat`.
    pub(crate) fn complete(&mut self, buffer: &mut gst::Buffer, cat: gst::DebugCategory) -> bool {
        if self.block <= 1 {
            return true;
        }
        if buffer.flags().contains(gst::BufferFlags::DISCONT) {
            // Something was lost in between, and it begins with a sample.
            self.whole.reset();
        }
        if self.whole.is_whole(buffer.size(), self.block) {
            return true;
        }
        let Ok(map) = buffer.map_readable() else {
            return true;
        };
        // Of a vector all bytes can be had.
        let bytes = self.whole.complete(map.to_vec(), self.block);
        let bytes = bytes.unwrap_or_default();
        drop(map);
        if bytes.is_empty() {
            return false;
        }
        let mut whole = gst::Buffer::from_mut_slice(bytes);
        let about = gst::BufferCopyFlags::FLAGS
            | gst::BufferCopyFlags::TIMESTAMPS
            | gst::BufferCopyFlags::META;
        if let Some(it) = whole.get_mut()
            && let Err(err) = buffer.copy_into(it, about, ..)
        {
            gst::warning!(cat, "What is known of a buffer is lost: {err}");
        }
        *buffer = whole;
        true
    }
}

/// Has the lines of a raw picture follow each other as its caps say, without what its `GstVideoMeta` has between them:
/// muxers do not look for that. What cannot be copied stays.
pub(crate) fn close_lines(info: &gst_video::VideoInfo, buffer: &mut gst::Buffer) {
    let is_close = buffer.meta::<gst_video::VideoMeta>().is_none_or(|meta| {
        let planes = meta.n_planes() as usize;
        meta.offset().get(..planes) == info.offset().get(..planes)
            && meta.stride().get(..planes) == info.stride().get(..planes)
    });
    if is_close {
        return;
    }
    let copied = || {
        let from = gst_video::VideoFrame::from_buffer_readable(buffer.clone(), info).ok()?;
        let close = gst::Buffer::with_size(info.size()).ok()?;
        let mut to = gst_video::VideoFrame::from_buffer_writable(close, info).ok()?;
        from.copy(&mut to).ok()?;
        let mut close = to.into_buffer();
        let about = gst::BufferCopyFlags::FLAGS
            | gst::BufferCopyFlags::TIMESTAMPS
            | gst::BufferCopyFlags::META;
        let it = close.get_mut()?;
        buffer.copy_into(it, about, ..).ok()?;
        if let Some(meta) = it.meta_mut::<gst_video::VideoMeta>() {
            let _ = meta.remove();
        }
        Some(close)
    };
    if let Some(close) = copied() {
        *buffer = close;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(caps: &str) -> WholeSamples {
        gst::init().unwrap();
        let mut samples = WholeSamples::default();
        samples.set_caps(&caps.parse::<gst::Caps>().unwrap());
        samples
    }

    const STEREO: &str =
        "audio/x-raw,format=S16LE,layout=interleaved,rate=8000,channels=2,channel-mask=(bitmask)3";

    fn given(samples: &mut WholeSamples, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut buffer = gst::Buffer::from_slice(bytes.to_vec());
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::SECOND);
        let is_whole = samples.complete(&mut buffer, *gst::CAT_RUST);
        assert_eq!(buffer.pts(), Some(gst::ClockTime::SECOND));
        is_whole.then(|| buffer.map_readable().unwrap().to_vec())
    }

    #[test]
    fn a_sample_that_is_cut_waits_for_its_rest() {
        let mut it = samples(STEREO);
        assert_eq!(given(&mut it, &[1, 2, 3]), None);
        assert_eq!(given(&mut it, &[4, 5]), Some(vec![1, 2, 3, 4]));
        assert_eq!(given(&mut it, &[6, 7, 8, 9]), Some(vec![5, 6, 7, 8]));
        let mut lost = gst::Buffer::from_slice(vec![1, 2, 3, 4]);
        lost.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
        assert!(it.complete(&mut lost, *gst::CAT_RUST));
        assert_eq!(*lost.map_readable().unwrap(), [1, 2, 3, 4]);
        assert_eq!(given(&mut it, &[5, 6, 7, 8]), Some(vec![5, 6, 7, 8]));
    }

    #[test]
    fn what_has_no_samples_is_left_alone() {
        for caps in [
            "audio/x-opus,rate=48000,channels=2",
            "video/x-raw,format=I420,width=16,height=16",
            "audio/x-raw,format=U8,layout=interleaved,rate=8000,channels=1",
        ] {
            let mut it = samples(caps);
            assert_eq!(given(&mut it, &[1, 2, 3]), Some(vec![1, 2, 3]), "{caps}");
        }
    }

    #[test]
    fn lines_of_a_picture_follow_each_other() {
        use gst_video::{VideoFormat, VideoFrameFlags, VideoMeta};
        gst::init().unwrap();
        let info = gst_video::VideoInfo::builder(VideoFormat::Gray8, 4, 2);
        let info = info.build().unwrap();
        let mut buffer = gst::Buffer::from_mut_slice(vec![9, 1, 2, 3, 4, 9, 9, 9, 5, 6, 7, 8, 9]);
        let it = buffer.get_mut().unwrap();
        it.set_pts(gst::ClockTime::SECOND);
        let none = VideoFrameFlags::empty();
        VideoMeta::add_full(it, none, VideoFormat::Gray8, 4, 2, &[1], &[7]).unwrap();
        close_lines(&info, &mut buffer);
        assert_eq!(*buffer.map_readable().unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(buffer.pts(), Some(gst::ClockTime::SECOND));
        assert!(buffer.meta::<VideoMeta>().is_none());
    }
}
