// SPDX-License-Identifier: MIT OR Apache-2.0
//! Blocks of the disk that are taken for a file before it is so long.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FallocateFlags, OFlags};

/// Bytes of a file's end that its writer may hold back (64 KiB here and in `filesink`).
const HELD_BACK: u64 = 1 << 20;

/// What is taken, and given back when this is dropped.
///
/// Ext4 keeps an account of each 4 KiB that are appended until it finds a place for them; where there is
/// one already, writing takes a third less of CPU time. The end of the file stays where it is. If the
/// process is killed, what it has taken stays with the file until that is truncated or removed.
#[derive(Debug)]
pub(super) struct Reserve {
    file: File,
    /// Where what is taken ends.
    until: u64,
}

impl Reserve {
    /// For the file at `path`, of which `len` bytes were given to a writer that holds little back; `None` if
    /// that is another file.
    pub(crate) fn of(path: &Path, len: u64) -> Option<Self> {
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(flags.bits() as i32)
            .open(path)
            .ok()?;
        let metadata = file.metadata().ok()?;
        let is_ours =
            metadata.is_file() && (len.saturating_sub(HELD_BACK)..=len).contains(&metadata.size());
        is_ours.then_some(Self { file, until: len })
    }

    /// Bytes that are taken behind the first `len` of the file.
    pub(crate) fn behind(&self, len: u64) -> u64 {
        self.until.saturating_sub(len)
    }

    /// Whether the file has `len` bytes, all that were given to its writer.
    pub(crate) fn has_all(&self, len: u64) -> bool {
        self.file
            .metadata()
            .is_ok_and(|metadata| metadata.size() == len)
    }

    /// Takes what the file will have up to `until`; whether there was so much.
    pub(crate) fn extend(&mut self, until: u64) -> bool {
        if until <= self.until {
            return true;
        }
        let taken = rustix::fs::fallocate(
            &self.file,
            FallocateFlags::KEEP_SIZE,
            self.until,
            until - self.until,
        );
        // Even if the call failed, some blocks may have been taken.
        self.until = until;
        taken.is_ok()
    }
}

impl Drop for Reserve {
    fn drop(&mut self) {
        // Nothing is to be given back if the file has grown into all of it.
        if let Ok(metadata) = self.file.metadata()
            && metadata.size() < self.until
        {
            let _ = self.file.set_len(metadata.size());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_is_given_back_and_the_file_as_it_was() {
        const LEN: u64 = 1 << 20;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.avi");
        let bytes: Vec<u8> = (0..LEN).map(|n| (n % 251) as u8).collect();
        std::fs::write(&path, &bytes).unwrap();
        for other in [0, LEN - 1, LEN + HELD_BACK + 1] {
            assert!(Reserve::of(&path, other).is_none(), "{other}");
        }
        assert!(Reserve::of(&dir.path().join("none"), 0).is_none());
        let mut reserve = Reserve::of(&path, LEN).unwrap();
        let has = || {
            let metadata = path.metadata().unwrap();
            (metadata.size(), metadata.blocks() * 512 / LEN)
        };
        if !reserve.extend(4 * LEN) {
            eprintln!("skipped: {} knows no fallocate", dir.path().display());
            return;
        }
        assert!(reserve.extend(3 * LEN));
        assert_eq!(has(), (LEN, 4));
        assert_eq!((reserve.behind(LEN), reserve.behind(5 * LEN)), (3 * LEN, 0));
        assert!(reserve.has_all(LEN) && !reserve.has_all(LEN + 1));
        drop(reserve);
        assert_eq!(has(), (LEN, 1));
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
}
