// SPDX-License-Identifier: MIT OR Apache-2.0
//! What `mp4mux` and `qtmux` write of an MP4 in fragments, put right where a file without an end would
//! not play to where it goes. When the file is closed they write another head, and most of this is gone.
//!
//! They write an edit list for a track that does not begin with the others, and give
//! its last edit the length of what is in the file at that moment: the first fragment. GStreamer's
//! demuxer believes that and ends the track there, however many fragments follow. Here that edit gets
//! no end.
//!
//! In a fragment whose tracks take turns they leave the size of a sample out where it is that of the
//! track's first one, as if that were the default; but the default is written only where all samples
//! have it. ffmpeg refuses the whole file for one such sample. Here the default is written, in the room
//! of the first sample's size, or of flags that say what the defaults say.
//!
//! When the file is closed they first make the head void that the fragments need, and then write the one for the whole
//! file behind them. Where the disk is full by then, or the power is cut before all of that is on it, there is none, and
//! the file is lost. Here what makes the old head void waits until the new one is on the disk.
//!
//! GStreamer's demuxer takes a track that is shorter than a fifth of the file for a preview, and leaves it out: the
//! picture of a camera that was unplugged early, the sound of a microphone that came late. Here the new head says that
//! such a track is a fifth as long as the file. When each sample is shown is said elsewhere.

use std::sync::Mutex;

use gst::prelude::*;

use crate::sync::lock;

/// The longest edit that a list of 32 bits can have: seven days and more at any time scale that is
/// written.
const NO_END: [u8; 4] = 0x7fff_ffff_u32.to_be_bytes();

/// Has what comes out of a muxer pass through here.
pub(crate) fn leave_open(muxer: &gst::Element) {
    let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM;
    for pad in muxer.src_pads() {
        let ending = Mutex::new(Ending::default());
        pad.add_probe(kinds, move |pad, info| match &mut info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => {
                put_right(buffer);
                let written = lock(&ending).write(buffer);
                if !written {
                    info.flow_res = Ok(gst::FlowSuccess::Ok);
                    return gst::PadProbeReturn::Handled;
                }
                gst::PadProbeReturn::Ok
            }
            Some(gst::PadProbeData::Event(event)) => {
                let (held, end) = {
                    let mut ending = lock(&ending);
                    (ending.event(event), ending.end)
                };
                // If the new head could not be written, the old one goes on being needed.
                if !held.is_empty()
                    && let Some(peer) = pad.peer()
                    && let Some(there) = pad.peer_query_position::<gst::format::Bytes>()
                    && *there == end
                {
                    write_at(&peer, held);
                }
                gst::PadProbeReturn::Ok
            }
            _ => gst::PadProbeReturn::Ok,
        });
    }
}

/// Writes to what is behind `sink`, each buffer at its place. Who cannot write it says so.
fn write_at(sink: &gst::Pad, held: Vec<(u64, gst::Buffer)>) {
    for (position, buffer) in held {
        let mut segment = gst::FormattedSegment::<gst::format::Bytes>::new();
        segment.set_start(gst::format::Bytes::from_u64(position));
        if !sink.send_event(gst::event::Segment::new(&segment)) || sink.chain(buffer).is_err() {
            return;
        }
    }
}

/// The end of a file.
#[derive(Debug, Default)]
struct Ending {
    /// Where the next buffer goes.
    position: u64,
    /// Where the file ends.
    end: u64,
    /// What is written over its begin, and where, once it has another head.
    held: Vec<(u64, gst::Buffer)>,
}

impl Ending {
    /// Takes note of a buffer that goes into the file; false if it has to wait.
    fn write(&mut self, buffer: &mut gst::Buffer) -> bool {
        let (position, size) = (self.position, buffer.size() as u64);
        self.position += size;
        if position < self.end {
            // 'moov' becomes 'hoov', which is the first thing that is done to end a file.
            let makes_void =
                || size == 1 && buffer.map_readable().is_ok_and(|bytes| bytes[..] == *b"h");
            if !self.held.is_empty() || makes_void() {
                self.held.push((position, buffer.clone()));
                return false;
            }
            return true;
        }
        self.end = self.position;
        if !self.held.is_empty() {
            // filesink waits for the disk after it.
            buffer.make_mut().set_flags(gst::BufferFlags::SYNC_AFTER);
        }
        true
    }

    /// Takes note of an event, and returns what can be written now.
    fn event(&mut self, event: &gst::EventRef) -> Vec<(u64, gst::Buffer)> {
        match event.view() {
            gst::EventView::StreamStart(_) => *self = Self::default(),
            gst::EventView::Segment(segment) => {
                if let Some(segment) = segment.segment().downcast_ref::<gst::format::Bytes>() {
                    self.position = segment.start().map_or(0, |start| *start);
                }
            }
            gst::EventView::Eos(_) => return std::mem::take(&mut self.held),
            _ => (),
        }
        Vec::new()
    }
}

fn put_right(buffer: &mut gst::Buffer) {
    let kind = buffer.map_readable().ok().and_then(|bytes| kind_of(&bytes));
    let Some(kind) = kind else { return };
    if let Ok(mut bytes) = buffer.make_mut().map_writable() {
        match kind {
            Kind::Head => open_edits(&mut bytes),
            Kind::Fragment => give_sizes(&mut bytes),
            Kind::WholeHead => lengthen_tracks(&mut bytes),
        }
    }
}

/// A box that is looked into.
enum Kind {
    /// The `moov` of a file without fragments.
    WholeHead,
    /// The `moov` of a file that has fragments.
    Head,
    /// A `moof`.
    Fragment,
}

/// What the bytes are, if they are one whole box.
fn kind_of(bytes: &[u8]) -> Option<Kind> {
    let (kind, content) = boxes(bytes).next()?;
    let whole = content.end == bytes.len();
    let is_head = || boxes(&bytes[content.clone()]).any(|(kind, _)| kind == *b"mvex");
    match &kind {
        b"moov" if whole && is_head() => Some(Kind::Head),
        b"moov" if whole => Some(Kind::WholeHead),
        b"moof" if whole => Some(Kind::Fragment),
        _ => None,
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

/// A track that is as many times shorter than its file is taken for a preview.
const PREVIEW: u64 = 5;

/// Has each track that holds something be long enough to be played.
fn lengthen_tracks(bytes: &mut [u8]) {
    let Some((_, movie)) = boxes(bytes).find(|(kind, _)| kind == b"moov") else {
        return;
    };
    let movie = &mut bytes[movie];
    let header = boxes(movie).find(|(kind, _)| kind == b"mvhd");
    let whole = header.and_then(|(_, content)| length_of(&movie[content]));
    if let Some((ticks, length)) = whole {
        lengthen_media(movie, &|scale| {
            let here = u128::from(length) * u128::from(scale);
            here.div_ceil(u128::from(ticks.max(1) * PREVIEW))
        });
    }
}

/// Has each track be at least as long as `least` says of its time scale.
fn lengthen_media(bytes: &mut [u8], least: &impl Fn(u64) -> u128) {
    let found: Vec<_> = boxes(bytes).collect();
    for (kind, content) in found {
        let content = &mut bytes[content];
        match &kind {
            b"trak" | b"mdia" => lengthen_media(content, least),
            b"mdhd" => {
                if let Some((scale, length)) = length_of(content)
                    && length > 0
                    && u128::from(length) < least(scale)
                {
                    set_length(content, least(scale));
                }
            }
            _ => {}
        }
    }
}

/// The ticks a second and the length in ticks that the content of a movie's or a track's header tells; two times
/// come before them, all of 32 bits in version 0 and of 64 but the ticks in version 1 (ISO/IEC 14496-12, 8.2.2 and
/// 8.4.2). `None` where the length is not known.
fn length_of(header: &[u8]) -> Option<(u64, u64)> {
    let (at, is_long) = match header.first()? {
        0 => (12, false),
        1 => (20, true),
        _ => return None,
    };
    let word = |at| word(header, at).map(u64::from);
    let ticks = word(at)?;
    let length = word(at + 4)?;
    match is_long {
        false => (length < u64::from(u32::MAX)).then_some((ticks, length)),
        true => Some((ticks, length << 32 | word(at + 8)?)),
    }
}

/// Puts a length of fewer ticks than there is room for into such a header.
fn set_length(header: &mut [u8], length: u128) {
    if header.first() == Some(&0)
        && let Ok(length) = u32::try_from(length)
        && let Some(room) = header.get_mut(16..20)
    {
        room.copy_from_slice(&length.to_be_bytes());
    } else if header.first() == Some(&1)
        && let Ok(length) = u64::try_from(length)
        && let Some(room) = header.get_mut(24..32)
    {
        room.copy_from_slice(&length.to_be_bytes());
    }
}

// What the flags of `tfhd` and `trun` say is there (ISO/IEC 14496-12, 8.8.7 and 8.8.8).
const BASE_OFFSET: u32 = 0x1;
const DESCRIPTION: u32 = 0x2;
const DEFAULT_DURATION: u32 = 0x8;
const DEFAULT_SIZE: u32 = 0x10;
const DEFAULT_FLAGS: u32 = 0x20;
const OFFSET: u32 = 0x1;
const FIRST_FLAGS: u32 = 0x4;
const DURATION: u32 = 0x100;
const SIZE: u32 = 0x200;

/// Gives each track of a fragment the default size that its samples count on.
fn give_sizes(bytes: &mut [u8]) {
    let found: Vec<_> = boxes(bytes).collect();
    for (kind, content) in found {
        match &kind {
            b"moof" => give_sizes(&mut bytes[content]),
            b"traf" => {
                let track = &mut bytes[content];
                if let Some(right) = with_default_size(track)
                    && right.len() == track.len()
                {
                    track.copy_from_slice(&right);
                }
            }
            _ => {}
        }
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_be_bytes(*bytes))
}

/// The content of a `traf` with a default size, as long as before; `None` where none is missing, or
/// where there is no room for it.
fn with_default_size(track: &[u8]) -> Option<Vec<u8>> {
    let mut parts: Vec<([u8; 4], Vec<u8>)> = boxes(track)
        .map(|(kind, content)| (kind, track[content].to_vec()))
        .collect();
    let runs = || parts.iter().filter(|(kind, _)| kind == b"trun");
    let unsized_run = |run: &[u8]| word(run, 0).is_some_and(|flags| flags & SIZE == 0);
    let header = parts.iter().position(|(kind, _)| kind == b"tfhd")?;
    let flags = word(&parts[header].1, 0)?;
    if flags & DEFAULT_SIZE > 0 || !runs().any(|(_, run)| unsized_run(run)) {
        return None;
    }
    let (_, first) = runs().next()?;
    let run_flags = word(first, 0).filter(|flags| flags & SIZE > 0)?;
    let mut fields = 8;
    for (flag, len) in [(OFFSET, 4), (FIRST_FLAGS, 4), (DURATION, 4)] {
        fields += if run_flags & flag > 0 { len } else { 0 };
    }
    let size = word(first, fields)?;

    // Behind version and flags and the track's number.
    let mut at = 8;
    for (flag, len) in [(BASE_OFFSET, 8), (DESCRIPTION, 4), (DEFAULT_DURATION, 4)] {
        at += if flags & flag > 0 { len } else { 0 };
    }
    let default_flags = word(&parts[header].1, at).filter(|_| flags & DEFAULT_FLAGS > 0);
    let runs = parts.iter_mut().filter(|(kind, _)| kind == b"trun");
    let mut runs = runs.map(|(_, run)| (room_in(run, size, default_flags), run));
    let ((run_flags, room), run) = runs.find_map(|(room, run)| Some((room?, run)))?;
    run[..4].copy_from_slice(&run_flags.to_be_bytes());
    run.drain(room..room + 4);
    let (_, header) = parts.get_mut(header)?;
    if header.len() < at {
        return None;
    }
    header[..4].copy_from_slice(&(flags | DEFAULT_SIZE).to_be_bytes());
    header.splice(at..at, size.to_be_bytes());
    let made = parts.into_iter().flat_map(|(kind, content)| {
        let size = u32::try_from(content.len() + 8).unwrap_or(0);
        [&size.to_be_bytes()[..], &kind, &content].concat()
    });
    Some(made.collect())
}

/// Four bytes of a run that say what the defaults say, and its flags without them: the size of its only
/// sample, or the flags of its first one.
fn room_in(run: &[u8], size: u32, default_flags: Option<u32>) -> Option<(u32, usize)> {
    let flags = word(run, 0)?;
    let samples = word(run, 4)?;
    let mut at = if flags & OFFSET > 0 { 12 } else { 8 };
    if flags & FIRST_FLAGS > 0 {
        if default_flags.is_some() && word(run, at) == default_flags {
            return Some((flags & !FIRST_FLAGS, at));
        }
        at += 4;
    }
    at += if flags & DURATION > 0 { 4 } else { 0 };
    let only = samples == 1 && flags & SIZE > 0 && word(run, at) == Some(size);
    only.then_some((flags & !SIZE, at))
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
        put_right(&mut buffer);
        assert_eq!(*buffer.map_readable().unwrap(), head(NO_END, &mvex)[..]);
    }

    /// The `moov` of a file without fragments: 1000 ticks a second, and a track of 90 000.
    fn whole(is_long: bool, movie: u32, track: u32) -> Vec<u8> {
        let header = |ticks: u32, length: u32| match is_long {
            false => [&[0; 12][..], &ticks.to_be_bytes(), &length.to_be_bytes()].concat(),
            true => [
                &[1, 0, 0, 0][..],
                &[0; 16],
                &ticks.to_be_bytes(),
                &u64::from(length).to_be_bytes(),
            ]
            .concat(),
        };
        let media = make(b"mdia", &[&make(b"mdhd", &[&header(90_000, track)])]);
        let movie = make(b"mvhd", &[&header(1000, movie)]);
        make(b"moov", &[&movie, &make(b"trak", &[&media])])
    }

    #[test]
    fn a_track_that_ends_early_is_no_preview() {
        gst::init().unwrap();
        for is_long in [false, true] {
            for (movie, track, expected) in [
                (10_000, 3600, 180_000),
                (10_001, 179_999, 180_018),
                (10_000, 180_000, 180_000),
                (10_000, 900_000, 900_000),
                // It holds nothing.
                (10_000, 0, 0),
                (0, 3600, 3600),
                // Not to be said in 32 bits.
                (
                    u32::MAX - 1,
                    3600,
                    if is_long { 77_309_411_292 } else { 3600 },
                ),
            ] {
                let mut buffer = gst::Buffer::from_mut_slice(whole(is_long, movie, track));
                put_right(&mut buffer);
                let bytes = buffer.map_readable().unwrap();
                let header = bytes.windows(4).position(|it| it == b"mdhd").unwrap();
                let length = length_of(&bytes[header + 4..]);
                assert_eq!(length, Some((90_000, expected)), "{movie} {track}");
            }
        }
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
            put_right(&mut buffer);
            assert_eq!(*buffer.map_readable().unwrap(), bytes[..]);
        }
    }

    /// A box of version 0, with its flags and what follows in words.
    fn full(kind: &[u8; 4], flags: u32, words: &[u32]) -> Vec<u8> {
        let words: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        make(kind, &[&flags.to_be_bytes(), &words])
    }

    fn fragment(tracks: &[&[u8]]) -> Vec<u8> {
        let tracks: Vec<_> = tracks.iter().map(|track| make(b"traf", &[track])).collect();
        make(b"moof", &[&full(b"mfhd", 0, &[5]), &tracks.concat()])
    }

    #[test]
    fn samples_that_count_on_a_default_size_get_it() {
        gst::init().unwrap();
        // As mp4mux of GStreamer 1.22 wrote it: the third picture has the size of the first one.
        let header = |flags, size: &[u32]| {
            let words = [&[1, 0, 0xd61b, 100], size, &[0x100c0]].concat();
            full(b"tfhd", flags, &words)
        };
        let rest = [
            full(b"trun", 0x201, &[1, 0x1be, 0xdb]),
            full(b"trun", 0x1, &[1, 0x3fc]),
        ]
        .concat();
        let first = full(b"trun", 0x201, &[1, 0x10, 0xe8]);
        let pictures = [header(0x29, &[]), first, rest.clone()].concat();
        let first = full(b"trun", 0x1, &[1, 0x10]);
        let right = [header(0x39, &[0xe8]), first, rest].concat();
        // Sound, of which two samples came at a time.
        let sound = |flags, size: &[u32], runs: &[u32], run: u32| {
            let words = [&[2, 0, 0xd61b], size, &[0xc0]].concat();
            let runs = full(b"trun", run, runs);
            [
                full(b"tfhd", flags, &words),
                runs,
                full(b"trun", 0x1, &[1, 0x4e4]),
            ]
            .concat()
        };
        let two = [2, 0xf8, 0xc0, 1024, 0xb2, 1024, 0xb1];
        let told = sound(0x21, &[], &two, 0x305);
        let two = [2, 0xf8, 1024, 0xb2, 1024, 0xb1];
        let heard = sound(0x31, &[0xb2], &two, 0x301);

        let mut buffer = gst::Buffer::from_mut_slice(fragment(&[&pictures, &told]));
        put_right(&mut buffer);
        let expected = fragment(&[&right, &heard]);
        assert_eq!(*buffer.map_readable().unwrap(), expected[..]);
        // What is right is left as it is, and so is what is cut off.
        for bytes in [&expected[..], &expected[..expected.len() - 4]] {
            let mut buffer = gst::Buffer::from_mut_slice(bytes.to_vec());
            put_right(&mut buffer);
            assert_eq!(*buffer.map_readable().unwrap(), *bytes);
        }
    }
}
