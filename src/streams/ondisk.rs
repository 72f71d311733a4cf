// SPDX-License-Identifier: MIT OR Apache-2.0
//! A file that another element's sink writes, on its disk: it is sent there each second, and it ends where it
//! plays when the sink has failed.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use avi_mjpeg::output::SyncThread;
use avi_mjpeg::pcm::file::FileError;
use gst::prelude::*;
use rustix::fs::OFlags;

use super::file_error;

/// Opens the file that a sink has just made or emptied. `None` where it has not, and for a pipe or a device.
pub(crate) fn open(path: &Path) -> Option<File> {
    let made = |metadata: std::fs::Metadata| metadata.is_file() && metadata.len() == 0;
    // To open a pipe would be noticed by whoever is at its other end.
    if !std::fs::metadata(path).is_ok_and(made) {
        return None;
    }
    let file = options(OFlags::empty()).write(true).open(path).ok()?;
    file.metadata().is_ok_and(made).then_some(file)
}

fn options(flags: OFlags) -> OpenOptions {
    let mut options = OpenOptions::new();
    let flags = flags | OFlags::NONBLOCK | OFlags::NOCTTY;
    options.custom_flags(flags.bits().cast_signed());
    options
}

/// Has what `writer` writes to a file sent to the disk each second. What the disk does not take is an error of
/// `writer`.
pub(crate) fn sync(
    path: &Path,
    file: &File,
    writer: &impl IsA<gst::Element>,
) -> Option<SyncThread> {
    let writer = writer.upcast_ref::<gst::Element>();
    let begin = |file: File| {
        let (weak, path) = (writer.downgrade(), path.to_owned());
        SyncThread::start(file, move |source| {
            if let Some(writer) = weak.upgrade() {
                writer.post_error_message(file_error(&FileError::Write { path, source }));
            }
        })
    };
    let thread = file.try_clone().and_then(begin);
    thread
        .inspect_err(|err| gst::warning!(gst::CAT_DEFAULT, obj = writer, "No syncs: {err}"))
        .ok()
}

/// Cuts a file that could not be written on back to where it plays, once its sink has closed it. `file` is the
/// descriptor by which it was made; if `path` is another file by now, both are left alone.
///
/// Only MP4 and MOV need it: amid a `moof`, ffmpeg refuses the whole file. Of Matroska, MPEG-TS, FLV, Ogg, WAV, and
/// frames one behind the other, ffmpeg and GStreamer read what is there, wherever it ends.
pub(crate) fn cut_back(path: &Path, file: &File) {
    match whole(path, file) {
        Ok(Some(len)) => {
            gst::info!(gst::CAT_DEFAULT, "{path:?} is cut back to {len} bytes");
            if let Err(err) = file.set_len(len).and_then(|()| file.sync_data()) {
                gst::warning!(gst::CAT_DEFAULT, "{path:?} can't be cut back: {err}");
            }
        }
        Ok(None) => (),
        Err(err) => gst::debug!(gst::CAT_DEFAULT, "{path:?} can't be looked at: {err}"),
    }
}

/// How long a file should be, if it is longer.
fn whole(path: &Path, file: &File) -> io::Result<Option<u64>> {
    let reader = options(OFlags::NOFOLLOW).read(true).open(path)?;
    let (ours, theirs) = (file.metadata()?, reader.metadata()?);
    let same = (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino());
    match same && theirs.is_file() {
        true => last_whole_box(&reader, theirs.len()),
        false => Ok(None),
    }
}

/// Where the last box that is whole ends, in an MP4 or MOV of that length which ends amid another one (ISO/IEC
/// 14496-12, 4.2). `None` where the file is whole, is none of these, would not play all the same, or is not as we
/// write it: then it is for people to look at.
fn last_whole_box(file: &File, len: u64) -> io::Result<Option<u64>> {
    let (mut at, mut has_head) = (0, false);
    while at < len {
        let left = len - at;
        let mut head = [0; 16];
        let there = head.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        file.read_exact_at(&mut head[..there], at)?;
        let number = |range: std::ops::Range<usize>| {
            let bytes = head[range].iter();
            bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
        };
        let kind = [4, 5, 6, 7].map(|at| head[at]);
        let (size, head_size) = match number(0..4) {
            _ if left < 8 => return Ok(has_head.then_some(at)),
            // It goes to the end of the file, as what a fragment's samples are in until it is complete.
            0 => return Ok(None),
            1 if left < 16 => return Ok(has_head.then_some(at)),
            1 => (number(8..16), 16),
            size => (size, 8),
        };
        let is_first = at == 0;
        let odd = !kind.iter().all(u8::is_ascii_alphanumeric) || (is_first && &kind != b"ftyp");
        let Some(end) = at.checked_add(size).filter(|_| size >= head_size && !odd) else {
            return Ok(None);
        };
        if end > len {
            // What is there of samples can be played.
            return Ok((has_head && &kind != b"mdat").then_some(at));
        }
        has_head |= &kind == b"moov";
        at = end;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], size: usize) -> Vec<u8> {
        let mut made = u32::try_from(size).unwrap().to_be_bytes().to_vec();
        made.extend(kind);
        made.resize(size, 7);
        made
    }

    /// What is left of a file of these bytes.
    fn left(bytes: &[u8]) -> usize {
        gst::init().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.mp4");
        std::fs::write(&path, bytes).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        cut_back(&path, &file);
        let left = std::fs::read(&path).unwrap();
        assert!(bytes.starts_with(&left));
        left.len()
    }

    #[test]
    fn a_file_ends_with_its_last_whole_box() {
        let head = [boxed(b"ftyp", 32), boxed(b"mdat", 100), boxed(b"moov", 60)].concat();
        let large = [
            &1_u32.to_be_bytes()[..],
            b"mdat",
            &40_u64.to_be_bytes(),
            &[7; 24],
        ]
        .concat();
        for (ahead, last) in [
            (head.clone(), boxed(b"moof", 50)),
            (
                [head.clone(), boxed(b"mdat", 30)].concat(),
                boxed(b"moof", 9),
            ),
            ([head.clone(), large].concat(), boxed(b"free", 8)),
        ] {
            for size in 1..last.len() {
                let cut = [&ahead[..], &last[..size]].concat();
                assert_eq!(left(&cut), ahead.len(), "{size}");
            }
            let whole = [ahead, last].concat();
            assert_eq!(left(&whole), whole.len());
        }
    }

    #[test]
    fn anything_else_is_left_as_it_is() {
        let (kind, moov) = (boxed(b"ftyp", 32), boxed(b"moov", 60));
        let cut = |kind: &[u8; 4]| boxed(kind, 40)[..20].to_vec();
        for parts in [
            // No head has come yet.
            vec![&kind, &cut(b"moov")],
            vec![&kind, &cut(b"mdat")],
            // Samples that are there, and those of a fragment that is not complete.
            vec![&kind, &moov, &cut(b"mdat")],
            vec![&kind, &moov, &b"\0\0\0\0mdat1234".to_vec()],
            // No boxes.
            vec![&kind, &moov, &b"\0\0\0\x07free1234".to_vec()],
            vec![&kind, &moov, &b"\0\0\x01\0\0\0\0\0aaaaaaaaaa".to_vec()],
            vec![&kind, &moov, &b"\0\0\0\x01mdat\0\0\0\0\0\0\0\x04".to_vec()],
            vec![
                &kind,
                &moov,
                &[b"\0\0\0\x01mdat".to_vec(), vec![0xff; 8]].concat(),
            ],
            vec![&moov, &cut(b"moof")],
            vec![&b"\x1a\x45\xdf\xa3\0\0\0\0".to_vec()],
            vec![],
        ] {
            let bytes = parts.into_iter().flatten().copied().collect::<Vec<_>>();
            assert_eq!(left(&bytes), bytes.len(), "{bytes:?}");
        }
    }

    #[test]
    fn a_file_that_is_not_ours_is_left_as_it_is() {
        gst::init().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let cut = [boxed(b"ftyp", 32), boxed(b"moov", 60), boxed(b"moof", 40)].concat();
        let cut = &cut[..100];
        for name in ["ours", "other"] {
            std::fs::write(at(name), cut).unwrap();
        }
        let ours = OpenOptions::new().write(true).open(at("ours")).unwrap();
        std::os::unix::fs::symlink(at("ours"), at("link")).unwrap();
        for name in ["other", "link", "gone"] {
            cut_back(&at(name), &ours);
        }
        for name in ["ours", "other"] {
            assert_eq!(std::fs::read(at(name)).unwrap(), cut);
        }
    }

    #[test]
    fn only_a_file_that_holds_nothing_was_just_made() {
        let directory = tempfile::tempdir().unwrap();
        let [empty, full, pipe, none] =
            ["empty", "full", "pipe", "none"].map(|name| directory.path().join(name));
        std::fs::write(&empty, "").unwrap();
        std::fs::write(&full, "kept").unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0).unwrap();
        assert!(open(&empty).is_some());
        for path in [full, pipe, none, directory.path().to_owned()] {
            assert!(open(&path).is_none(), "{path:?}");
        }
    }
}
