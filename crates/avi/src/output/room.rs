// SPDX-License-Identifier: MIT OR Apache-2.0
//! How much longer the file can become, asked before the disk says no: what is needed to finish
//! the file is then still there.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::process::Resource;

use super::reserve::Reserve;

/// Bytes of the file that whoever writes it may hold back and the disk does not know of (64 KiB
/// here, as much in GStreamer's `filesink`), and what the file system needs for itself to make the
/// file longer.
const MARGIN: u64 = 192 * 1024;

/// Bytes to write before the disk is asked again, as others write to it too.
const ASK_AGAIN: u64 = 16 << 20;

/// Bytes in a second beyond which nothing is being recorded, but copied.
const COPYING: u128 = 64 << 20;

/// Free bytes from which on some may be taken before they are written.
const PLENTY: u64 = 64 * ASK_AGAIN;

/// `MSDOS_SUPER_MAGIC`, whose files end at 4 GiB.
const FAT: u64 = 0x4d44;

/// `EXT4_SUPER_MAGIC`, where it saves time to take blocks in advance.
const EXT4: u64 = 0xef53;

/// Blocks that ext4 keeps for itself, if they are no more than a fiftieth of all: not even root gets them.
const EXT4_OWN_BLOCKS: u64 = 4096;

/// The room that a file has: on its disk, and below the limits of its process and file system.
///
/// A file that grows faster than recordings do (64 MiB a second) on ext4 with more than 1 GiB free also
/// has up to 16 MiB of the disk taken ahead of it, which saves a third of the time to write. They are given
/// back by [`Room::finish`] or when this is dropped; if the process is killed, truncating the file to its
/// own size does it.
#[derive(Debug)]
pub struct Room {
    path: PathBuf,
    is_ext4: bool,
    /// Whether what is kept for root is for us.
    is_root: bool,
    /// Bytes that the file may have, whatever is free.
    limit: u64,
    /// Bytes up to which there is room, by the last answer.
    room_until: u64,
    /// When the disk was asked last, and the bytes that the file had.
    asked: Option<(Instant, u64)>,
    /// Whether blocks may be taken before they are needed.
    may_reserve: bool,
    reserve: Option<Reserve>,
}

impl Room {
    /// The room of a regular file; `None` for what is none (`/dev/null`, a pipe). `at_once` says that
    /// the file has all bytes by the time that `has_room` is asked, but for 64 KiB: no thread is between.
    pub fn of(path: &Path, at_once: bool) -> Option<Self> {
        std::fs::metadata(path).ok().filter(|file| file.is_file())?;
        let mut limit = rustix::process::getrlimit(Resource::Fsize)
            .current
            .unwrap_or(u64::MAX);
        let system = rustix::fs::statfs(path).map_or(0, |disk| disk.f_type as u64);
        if system == FAT {
            limit = limit.min(u32::MAX.into());
        }
        Some(Self {
            path: path.to_owned(),
            is_ext4: system == EXT4,
            is_root: is_root(),
            limit,
            room_until: 0,
            asked: None,
            may_reserve: at_once && system == EXT4,
            reserve: None,
        })
    }

    /// Whether the file, of `len` bytes at the time `now`, can become `wanted` bytes long.
    pub fn has_room(&mut self, now: Instant, len: u64, wanted: u64) -> bool {
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
        let reserved = self.reserve.as_ref().map_or(0, |kept| kept.behind(len));
        let room = (free + reserved).saturating_sub(MARGIN);
        // Nearer to the end it is asked more often.
        self.room_until = len + (room / 2).min(ASK_AGAIN);
        if self.is_copied(now, len) && free >= PLENTY {
            self.reserve(len);
        }
        len + room >= wanted
    }

    /// Whether the file has grown faster than recordings do.
    fn is_copied(&mut self, now: Instant, len: u64) -> bool {
        let before = self.asked.replace((now, len));
        before.is_some_and(|(then, from)| {
            u128::from(len.saturating_sub(from)) * 1_000_000_000 > COPYING * (now - then).as_nanos()
        })
    }

    /// Takes the blocks that the file will need until the disk is asked again.
    fn reserve(&mut self, len: u64) {
        if self.may_reserve && self.reserve.is_none() {
            self.reserve = Reserve::of(&self.path, len);
        }
        self.may_reserve = self
            .reserve
            .as_mut()
            .is_some_and(|kept| kept.extend(self.room_until));
    }

    /// Gives back what was taken of the disk and the file, complete at `len` bytes, does not need. If
    /// not all of it is there yet, that is done when this is dropped.
    pub fn finish(&mut self, len: u64) {
        self.may_reserve = false;
        self.reserve.take_if(|kept| kept.has_all(len));
    }

    /// Asks the disk again the next time, however little was written since the last.
    pub fn forget(&mut self) {
        self.room_until = 0;
    }

    /// Bytes that are free for us, if the file system tells.
    fn free(&self) -> Option<u64> {
        let disk = rustix::fs::statvfs(&self.path).ok()?;
        let blocks = match self.is_root {
            false => disk.f_bavail,
            true if self.is_ext4 => {
                // `f_blocks` leaves out the blocks of the file system's own tables.
                let own = EXT4_OWN_BLOCKS.min(disk.f_blocks / 40);
                disk.f_bfree.saturating_sub(own)
            }
            true => disk.f_bfree,
        };
        // Some network file systems answer 0 for everything.
        (disk.f_blocks > 0).then(|| blocks.saturating_mul(disk.f_frsize))
    }
}

/// Whether we are root, and not only in a container.
fn is_root() -> bool {
    let every_id = ["0", "0", "4294967295"];
    rustix::process::geteuid().is_root()
        && std::fs::read_to_string("/proc/self/uid_map")
            .is_ok_and(|map| map.split_whitespace().eq(every_id))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_file_has_the_room_of_its_disk() {
        let now = Instant::now();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.avi");
        std::fs::write(&path, b"RIFF").unwrap();
        let mut room = Room::of(&path, true).unwrap();
        room.limit = room.limit.min(1 << 60);
        assert!(room.has_room(now, 4, 5));
        assert!(!room.has_room(now, 4, 1 << 61), "no file is that large");
        let free = room.free().unwrap();
        room.forget();
        assert!(
            !room.has_room(now, 4, 4 + 2 * free),
            "twice of what is free"
        );
        assert!(Room::of(Path::new("/dev/null"), true).is_none());
        assert!(Room::of(&dir.path().join("none"), true).is_none());
    }

    #[test]
    fn blocks_are_taken_for_copies_only() {
        const LEN: u64 = 2 * ASK_AGAIN;
        let start = Instant::now();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.avi");
        for (at_once, seconds, reserves) in
            [(true, 0.1, true), (true, 1.0, false), (false, 0.1, false)]
        {
            let file = std::fs::File::create(&path).unwrap();
            let mut room = Room::of(&path, at_once).unwrap();
            assert!(room.has_room(start, 0, 5));
            // A hole, so that all blocks that it has are those taken behind its end.
            file.set_len(LEN).unwrap();
            let can_reserve = room.may_reserve && room.free().unwrap() > 2 * PLENTY;
            let now = start + Duration::from_secs_f64(seconds);
            assert!(room.has_room(now, LEN, LEN + 5));
            assert_eq!(blocks(&file) > 0, reserves && can_reserve);
            room.finish(LEN);
            assert_eq!((blocks(&file), file.metadata().unwrap().len()), (0, LEN));
        }
    }

    fn blocks(file: &std::fs::File) -> u64 {
        std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap())
    }
}
