// SPDX-License-Identifier: MIT OR Apache-2.0
//! The time of day in a file: when its first picture was taken.
//!
//! Matroska has it in `DateUTC`, by a property of its muxer; AVI (in `IDIT` and `ICRD`) and what else
//! holds tags, by the tag `datetime`. MP4 and MOV have it in their `moov` box, where their muxer puts the time at which it
//! was started: that is written over on its way to the file.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use gst::glib;
use gst::prelude::*;

use super::set;

/// From 1904, where the times of MP4 and MOV begin (ISO/IEC 14496-12, 8.2.2), to 1970, in seconds.
const MP4_TO_UNIX: i64 = 2_082_844_800;

/// When a file's first picture was taken, in ns since 1970; shared with what writes it.
#[derive(Debug, Clone)]
pub(crate) struct Creation(Arc<AtomicI64>);

/// It is not known.
const UNKNOWN: i64 = i64::MIN;

impl Default for Creation {
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(UNKNOWN)))
    }
}

impl Creation {
    /// Has what a new muxer writes have the time that is set.
    pub(crate) fn attach(&self, muxer: &gst::Element) {
        let factory = muxer.factory().map(|factory| factory.name());
        if !matches!(factory.as_deref(), Some("mp4mux" | "qtmux")) {
            return;
        }
        let Some(pad) = muxer.static_pad("src") else {
            return;
        };
        let time = self.0.clone();
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            let utc = time.load(Ordering::Acquire);
            if let Some(buffer) = info.buffer_mut()
                && utc != UNKNOWN
            {
                rewrite(buffer, utc);
            }
            gst::PadProbeReturn::Ok
        });
    }

    /// Sets the time before the muxer begins a file. Muxers that have no place for it do without.
    pub(crate) fn set(&self, muxer: &gst::Element, utc: Option<i64>) {
        let former = self.0.swap(utc.unwrap_or(UNKNOWN), Ordering::AcqRel);
        // What the application says itself is kept, but not what was set for the last file.
        let mode = match former {
            UNKNOWN => gst::TagMergeMode::Keep,
            _ => gst::TagMergeMode::Replace,
        };
        if let Some(utc) = utc {
            set_time(muxer, utc, mode);
        }
    }
}

fn set_time(muxer: &gst::Element, utc: i64, mode: gst::TagMergeMode) {
    let us = utc.div_euclid(1000);
    let (second, us) = (us.div_euclid(1_000_000), us.rem_euclid(1_000_000));
    let whole = glib::DateTime::from_unix_utc(second);
    let Ok(time) = whole.and_then(|whole| whole.add(glib::TimeSpan(us))) else {
        return;
    };
    // Only Matroska's has it; what an element does not take is left alone.
    let _ = set::set(muxer, "creation-time", &time.to_value());
    let factory = muxer.factory().map(|factory| factory.name());
    // Tags come behind the samples of a WAV, and some readers take all up to the end for sound.
    if factory.as_deref() != Some("wavenc")
        && let Some(setter) = muxer.dynamic_cast_ref::<gst::TagSetter>()
    {
        let date = gst::DateTime::from(time);
        setter.add_tag::<gst::tags::DateTime>(&date, mode);
    }
}

/// Puts the time, in ns since 1970, into what an MP4 muxer writes, if that is the file's `moov` box.
fn rewrite(buffer: &mut gst::Buffer, utc: i64) {
    let is_moov = buffer
        .map_readable()
        .is_ok_and(|map| find_moov(&map).is_some());
    if !is_moov {
        return;
    }
    if let Ok(mut map) = buffer.make_mut().map_writable()
        && let Some(at) = find_moov(&map)
    {
        let seconds = utc.div_euclid(1_000_000_000).saturating_add(MP4_TO_UNIX);
        // Version 0 has 32 bits, which last until 2040.
        let seconds = u64::try_from(seconds).unwrap_or(0);
        set_times(&mut map[at..], seconds);
    }
}

/// Where the `moov` box begins among the first boxes.
fn find_moov(bytes: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let (kind, size) = head(bytes.get(at..)?)?;
        match &kind {
            b"moov" => return Some(at),
            b"ftyp" | b"free" | b"skip" | b"wide" | b"uuid" => at = at.checked_add(size)?,
            _ => return None,
        }
    }
}

/// The kind and the size of a box.
fn head(bytes: &[u8]) -> Option<([u8; 4], usize)> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let kind = rest.first_chunk::<4>()?;
    let size = usize::try_from(u32::from_be_bytes(*size)).ok()?;
    (size >= 8).then_some((*kind, size))
}

/// Sets the times of creation and change in the boxes that have them (ISO/IEC 14496-12, 8.2.2, 8.3.2
/// and 8.4.2), in seconds since 1904.
fn set_times(mut boxes: &mut [u8], seconds: u64) {
    while let Some((kind, size)) = head(boxes) {
        let (this, others) = boxes.split_at_mut(size.min(boxes.len()));
        let body = &mut this[8..];
        match &kind {
            b"moov" | b"trak" | b"mdia" => set_times(body, seconds),
            b"mvhd" | b"tkhd" | b"mdhd" => set_time_fields(body, seconds),
            _ => (),
        }
        boxes = others;
    }
}

fn set_time_fields(body: &mut [u8], seconds: u64) {
    let Some((head, fields)) = body.split_first_chunk_mut::<4>() else {
        return;
    };
    let wide = seconds.to_be_bytes();
    let time = match head[0] {
        0 => &wide[4..],
        _ => &wide[..],
    };
    for field in fields.chunks_exact_mut(time.len()).take(2) {
        field.copy_from_slice(time);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let size = u32::try_from(8 + body.len()).unwrap();
        [&size.to_be_bytes()[..], kind, body].concat()
    }

    #[test]
    fn times_are_set_in_all_boxes_that_have_them() {
        gst::init().unwrap();
        let narrow = [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 9, 9];
        let wide = [&[1, 0, 0, 0][..], &[1; 8], &[2; 8], &[9]].concat();
        let media = boxed(b"mdia", &boxed(b"mdhd", &wide));
        let track = boxed(b"trak", &[boxed(b"tkhd", &narrow), media].concat());
        let moov = boxed(b"moov", &[boxed(b"mvhd", &narrow), track].concat());
        let file = [
            boxed(b"ftyp", b"isom"),
            moov.clone(),
            boxed(b"mdat", &narrow),
        ]
        .concat();
        let mut buffer = gst::Buffer::from_mut_slice(file.clone());
        // Two seconds after 1970.
        rewrite(&mut buffer, 2_500_000_000);
        let map = buffer.map_readable().unwrap();
        let seconds = u32::try_from(MP4_TO_UNIX + 2).unwrap().to_be_bytes();
        let times = map.windows(4).filter(|four| *four == seconds).count();
        assert_eq!(times, 6);
        let changed = map.iter().zip(&file).filter(|(a, b)| a != b).count();
        assert!(changed <= 2 * 4 + 2 * 4 + 2 * 8, "{changed}");
        assert!(map.ends_with(&boxed(b"mdat", &narrow)));
    }

    #[test]
    fn anything_else_is_left_alone() {
        gst::init().unwrap();
        let damaged = boxed(b"moov", &[0, 0, 0, 200, b'm', b'v', b'h', b'd', 0, 0]);
        for bytes in [
            Vec::new(),
            vec![0, 0, 0, 4],
            b"\0\0\0\x10mdatmoov".to_vec(),
            damaged,
        ] {
            let mut buffer = gst::Buffer::from_mut_slice(bytes.clone());
            rewrite(&mut buffer, 0);
            assert_eq!(buffer.map_readable().unwrap().as_slice(), bytes);
        }
    }
}
