// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much longer the file can become, asked before the disk says no: what is needed to finish
//! the file is then still there.

use std::path::{Path, PathBuf};

use rustix::process::Resource;

use super::piece::PIECE;

/// Bytes of the file that we and the sink may hold back and the disk does not know of (`filesink`:
/// 64 KiB), and what the file system needs for itself to make the file longer.
const MARGIN: u64 = 128 * 1024 + PIECE as u64;

/// Bytes to write before the disk is asked again, as others write to it too.
const ASK_AGAIN: u64 = 16 << 20;

/// `MSDOS_SUPER_MAGIC`, whose files end at 4 GiB.
const FAT: u64 = 0x4d44;

/// The room that a file has.
#[derive(Debug)]
pub(super) struct Space {
    path: PathBuf,
    /// Bytes that the file may have, whatever is free.
    limit: u64,
    /// Bytes up to which there is room, by the last answer.
    room_until: u64,
}

impl Space {
    /// The space of a regular file; `None` for what is none (`/dev/null`, a pipe).
    pub fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().filter(|file| file.is_file())?;
        let mut limit = rustix::process::getrlimit(Resource::Fsize)
            .current
            .unwrap_or(u64::MAX);
        if rustix::fs::statfs(path).is_ok_and(|disk| disk.f_type as u64 == FAT) {
            limit = limit.min(u32::MAX.into());
        }
        Some(Self {
            path: path.to_owned(),
            limit,
            room_until: 0,
        })
    }

    /// Whether the file, of `len` bytes now, can have `wanted` bytes.
    pub fn has_room(&mut self, len: u64, wanted: u64) -> bool {
        if wanted > self.limit {
            return false;
        }
        if wanted <= self.room_until {
            return true;
        }
        let Some(free) = self.free() else {
            self.room_until = wanted + ASK_AGAIN;
            return true;
        };
        let room = free.saturating_sub(MARGIN);
        // Nearer to the end it is asked more often.
        self.room_until = len + (room / 2).min(ASK_AGAIN);
        len + room >= wanted
    }

    /// Has the disk be asked the next time.
    pub fn forget(&mut self) {
        self.room_until = 0;
    }

    /// Bytes that are free for us, if the file system tells.
    fn free(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.path).ok()?;
        let blocks = if rustix::process::geteuid().is_root() {
            disk.f_bfree
        } else {
            disk.f_bavail
        };
        // Some network file systems say nothing.
        (disk.f_blocks > 0).then(|| blocks.saturating_mul(disk.f_frsize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_room_of_its_disk() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.avi");
        std::fs::write(&path, b"RIFF").unwrap();
        let mut space = Space::of(&path).unwrap();
        space.limit = space.limit.min(1 << 60);
        assert!(space.has_room(4, 5));
        assert!(!space.has_room(4, 1 << 61), "no file is that large");
        let free = space.free().unwrap();
        space.forget();
        assert!(!space.has_room(4, 4 + 2 * free), "twice of what is free");
        assert!(Space::of(Path::new("/dev/null")).is_none());
        assert!(Space::of(&dir.path().join("none")).is_none());
    }
}
