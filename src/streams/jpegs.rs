// SPDX-License-Identifier: MIT OR Apache-2.0
//! JPEGs as cameras give them: with bytes before the picture, or with none at all.

use avi_mjpeg::jpeg;

/// Whether these are the caps of JPEGs.
pub(crate) fn is_jpeg(caps: &gst::CapsRef) -> bool {
    caps.structure(0)
        .is_some_and(|structure| structure.name() == "image/jpeg")
}

/// Has a buffer begin where its picture does: HTTP cameras leave line ends, others fill bytes before it, and
/// not every decoder looks for it. What has no start marker stays as it is.
pub(crate) fn from_start(buffer: &mut gst::Buffer) {
    let start = buffer.map_readable().ok().and_then(|map| jpeg::start(&map));
    // A camera's own buffer goes back to it.
    let copied = gst::BufferCopyFlags::all() | gst::BufferCopyFlags::DEEP;
    if let Some(start @ 1..) = start
        && let Ok(mut picture) = buffer.copy_region(copied, start..)
    {
        // Only what is copied from its first byte on has the times.
        if let Some(part) = picture.get_mut() {
            part.set_pts(buffer.pts());
            part.set_dts(buffer.dts());
            part.set_duration(buffer.duration());
        }
        *buffer = picture;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_before_a_picture_is_left_out() {
        gst::init().unwrap();
        let picture = [0xff, 0xd8, 0xff, 0xe0, 0, 2];
        for lead in [
            &b""[..],
            b"\r\n",
            b"\xff",
            b"--b\r\nContent-Type: image/jpeg\r\n\r\n",
        ] {
            let mut buffer = gst::Buffer::from_slice([lead, &picture].concat());
            let it = buffer.get_mut().unwrap();
            it.set_pts(gst::ClockTime::SECOND);
            it.set_flags(gst::BufferFlags::DISCONT);
            from_start(&mut buffer);
            assert_eq!(*buffer.map_readable().unwrap(), picture, "{lead:?}");
            assert_eq!(buffer.pts(), Some(gst::ClockTime::SECOND));
            assert!(buffer.flags().contains(gst::BufferFlags::DISCONT));
        }
        let mut other = gst::Buffer::from_slice([1, 2, 3]);
        from_start(&mut other);
        assert_eq!(*other.map_readable().unwrap(), [1, 2, 3]);
    }
}
