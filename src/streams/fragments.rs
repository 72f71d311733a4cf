// SPDX-License-Identifier: MIT OR Apache-2.0
//! The head of an MP4 that is written in fragments, such that a file without an end plays to where it
//! goes.
//!
//! `mp4mux` and `qtmux` write an edit list for a track that does not begin with the others, and give
//! its last edit the length of what is in the file at that moment: the first fragment. GStreamer's
//! demuxer believes that and ends the track there, however many fragments follow. Here that edit gets
//! no end. When the file is closed the muxer writes another head, with the right length.

use gst::prelude::*;

/// The longest edit that a list of 32 bits can have: seven days and more at any time scale that is
/// written.
const NO_END: [u8; 4] = 0x7fff_ffff_u32.to_be_bytes();

/// Has what comes out of a muxer pass through here.
pub fn leave_open(muxer: &gst::Element) {
    let kinds = gst::PadProbeType::BUFFER;
    for pad in muxer.src_pads() {
        pad.add_probe(kinds, |_, info| {
            if let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data {
                open_edits_of(buffer);
            }
            gst::PadProbeReturn::Ok
        });
    }
}

fn open_edits_of(buffer: &mut gst::Buffer) {
    let head = buffer.map_readable();
    if !head.is_ok_and(|head| is_fragmented_head(&head)) {
        return;
    }
    if let Ok(mut head) = buffer.make_mut().map_writable() {
        open_edits(&mut head);
    }
}

/// The boxes that are in `bytes`, one behind the other: what each is, and where its content is.
fn boxes(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], std::ops::Range<usize>)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = bytes.get(at..)?;
        let (size, rest) = rest.split_first_chunk::<4>()?;
        let (kind, _) = rest.split_first_chunk::<4>()?;
        let size = usize::try_from(u32::from_be_bytes(*size)).ok()?;
        let end = at.checked_add(size).filter(|&end| end <= bytes.len())?;
        let content = at + 8..end;
        at = end;
        (size >= 8).then_some((*kind, content))
    })
}

/// Whether it is a whole `moov` of a file that has fragments.
fn is_fragmented_head(bytes: &[u8]) -> bool {
    matches!(
        boxes(bytes).next(),
        Some((kind, content)) if kind == *b"moov"
            && content.end == bytes.len()
            && boxes(&bytes[content.clone()]).any(|(kind, _)| kind == *b"mvex")
    )
}

/// Takes the end of the last edit of each list.
fn open_edits(bytes: &mut [u8]) {
    let found: Vec<_> = boxes(bytes).collect();
    for (kind, content) in found {
        match &kind {
            b"moov" | b"trak" | b"edts" => open_edits(&mut bytes[content]),
            b"elst" => open_last_edit(&mut bytes[content]),
            _ => {}
        }
    }
}

/// The content of an edit list: version and flags, the number of edits, and 12 bytes for each, of which
/// the first four are its length (ISO/IEC 14496-12, 8.6.6; longer ones in version 1, which is not
/// written for files that have just begun).
fn open_last_edit(list: &mut [u8]) {
    let version = list.first().copied();
    if version == Some(0)
        && let Some((_, edits)) = list.split_at_mut_checked(8)
        && let Some(last) = edits.rchunks_exact_mut(12).next()
        && let Some(length) = last.first_chunk_mut()
    {
        *length = NO_END;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(kind: &[u8; 4], content: &[&[u8]]) -> Vec<u8> {
        let content = content.concat();
        let size = u32::try_from(content.len() + 8).unwrap();
        [&size.to_be_bytes()[..], kind, &content].concat()
    }

    /// An empty edit and one of a fragment.
    fn list(length: [u8; 4]) -> Vec<u8> {
        let edits = [&[0, 0, 1, 0x9a][..], &[0xff; 4], &[0, 1, 0, 0]].concat();
        let last = [&length[..], &[0; 4], &[0, 1, 0, 0]].concat();
        make(b"elst", &[&[0, 0, 0, 0, 0, 0, 0, 2], &edits, &last])
    }

    fn head(length: [u8; 4], more: &[u8]) -> Vec<u8> {
        let track = make(
            b"trak",
            &[&make(b"edts", &[&list(length)]), b"\0\0\0\x08mdia"],
        );
        make(b"moov", &[&make(b"mvhd", &[&[7; 100]]), &track, more])
    }

    #[test]
    fn the_last_edit_of_a_file_in_fragments_has_no_end() {
        gst::init().unwrap();
        let mvex = make(b"mvex", &[]);
        let mut buffer = gst::Buffer::from_mut_slice(head([0, 0, 8, 0xfc], &mvex));
        open_edits_of(&mut buffer);
        assert_eq!(*buffer.map_readable().unwrap(), head(NO_END, &mvex)[..]);
    }

    #[test]
    fn everything_else_is_left_as_it_is() {
        gst::init().unwrap();
        let plain = head([0, 0, 8, 0xfc], &[]);
        let mvex = make(b"mvex", &[]);
        let cut = head([0, 0, 8, 0xfc], &mvex)[..120].to_vec();
        let short = make(b"moov", &[&mvex, &make(b"elst", &[&[0; 5]])]);
        let longer = make(b"moov", &[&mvex, &make(b"elst", &[&[1; 48]])]);
        for bytes in [
            plain,
            cut,
            short,
            longer,
            vec![],
            vec![0; 64],
            b"\0\0\0\x08moov".to_vec(),
        ] {
            let mut buffer = gst::Buffer::from_mut_slice(bytes.clone());
            open_edits_of(&mut buffer);
            assert_eq!(*buffer.map_readable().unwrap(), bytes[..]);
        }
    }
}
