// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that are being written, each by one recorder: of two that write into one file neither's is left.
//! Knows no GStreamer.
//!
//! In this process a file is known by its name, whatever links lead to it, and once it is there by device and inode.
//! Other programs find a lock (`flock`), which ends with the process. It is taken on file systems of this machine alone:
//! NFS asks a server, which may not answer, and SMB has the lock keep out whoever opened the file a second time (flock(2),
//! "CIFS details"), as the sinks behind our muxers do.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rustix::fs::{FlockOperation, flock, fstatfs};
use rustix::io::Errno;

use super::held::identity;
use crate::sync::lock;

/// File systems whose locks ask nobody else, by their numbers in `statfs(2)`: ext2 to ext4, XFS, Btrfs, F2FS, bcachefs,
/// FAT, exFAT, NTFS, tmpfs, ramfs, overlayfs, UBIFS, JFFS2, ZFS.
const LOCAL: [u32; 14] = [
    0x0000_ef53,
    0x5846_5342,
    0x9123_683e,
    0xf2f5_2010,
    0xca45_1a4e,
    0x0000_4d44,
    0x2011_bab0,
    0x7366_746e,
    0x0102_1994,
    0x8584_58f6,
    0x794c_7630,
    0x2405_1905,
    0x0000_72b6,
    0x2fc1_2fc1,
];

/// As many links one behind the other as Linux follows.
const LINKS: usize = 40;

#[derive(Debug)]
struct Written {
    id: u64,
    path: PathBuf,
    /// Device and inode, once they are known.
    inode: Option<(u64, u64)>,
}

/// All that are claimed, and the number of the next claim. The lock is held for looking at them, never while a disk is
/// asked, which may hang.
static WRITTEN: Mutex<(Vec<Written>, u64)> = Mutex::new((Vec::new(), 0));

/// The right to write a file. Whoever has none (the default) keeps nobody out.
#[derive(Debug, Default)]
pub(crate) struct Claim {
    id: Option<u64>,
    /// The file, locked.
    lock: Option<File>,
}

impl Claim {
    /// Claims a file that is there or is about to be made; `None` if another claim is on it. What is no file, a pipe or
    /// a device, anybody may write to.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let there = std::fs::metadata(path).ok();
        if there.as_ref().is_some_and(|it| !it.is_file()) {
            return Some(Self::default());
        }
        let inode = there.as_ref().map(inode);
        let path = target(path);
        let mut written = lock(&WRITTEN);
        let (all, next) = &mut *written;
        if find(all, &path, inode) {
            return None;
        }
        let id = *next;
        *next += 1;
        all.push(Written { id, path, inode });
        Some(Self {
            id: Some(id),
            lock: None,
        })
    }

    /// This is the file: other names of it are claimed too, and other programs that ask are kept out. False if another
    /// claim is on it, or another program's lock.
    pub(crate) fn made(&mut self, file: &File) -> bool {
        let Some(id) = self.id else { return true };
        let Ok(metadata) = file.metadata() else {
            return true;
        };
        if !metadata.is_file() {
            return true;
        }
        let known = Some(inode(&metadata));
        {
            let (all, _) = &mut *lock(&WRITTEN);
            if all.iter().any(|it| it.id != id && it.inode == known) {
                return false;
            }
            if let Some(own) = all.iter_mut().find(|it| it.id == id) {
                own.inode = known;
            }
        }
        let Some(own) = file.try_clone().ok().filter(is_local) else {
            return true;
        };
        match flock(&own, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => self.lock = Some(own),
            Err(error) => return error != Errno::WOULDBLOCK,
        }
        true
    }

    /// The file is complete, and may go elsewhere or be looked at by others: only its name stays claimed.
    fn keep_name(&mut self) {
        self.unlock();
        let (all, _) = &mut *lock(&WRITTEN);
        if let Some(own) = all.iter_mut().find(|it| Some(it.id) == self.id) {
            own.inode = None;
        }
    }

    /// Whether this is the claim on a name.
    fn is_on(&self, path: &Path) -> bool {
        let path = target(path);
        let (all, _) = &*lock(&WRITTEN);
        all.iter()
            .any(|it| Some(it.id) == self.id && it.path == path)
    }

    /// The lock is not left to the last descriptor: the thread that sends the file to its disk has one for a while yet.
    fn unlock(&mut self) {
        if let Some(file) = self.lock.take() {
            // If this fails the lock goes with the last descriptor.
            let _ = flock(&file, FlockOperation::Unlock);
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.unlock();
        let (all, _) = &mut *lock(&WRITTEN);
        all.retain(|it| Some(it.id) != self.id);
    }
}

/// The names that a recorder began with, which stay taken while it goes on with other files: another one that is told
/// the same would begin with them, and overwrite all that follows one after the other.
#[derive(Debug, Default)]
pub(crate) struct KeptNames(Vec<Claim>);

impl KeptNames {
    /// Files are complete. Of those after the first ones the names are free.
    pub(crate) fn keep(&mut self, complete: impl IntoIterator<Item = Claim>) {
        if self.0.is_empty() {
            self.0.extend(complete);
            self.0.iter_mut().for_each(Claim::keep_name);
        }
    }

    /// The recorder itself writes a file of this name again.
    pub(crate) fn give_up(&mut self, path: &Path) {
        self.0.retain(|claim| !claim.is_on(path));
    }

    /// No other file follows.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Whether two names are one file's, whether it is there or not.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    let there = |path: &Path| std::fs::metadata(path).ok().map(|it| inode(&it));
    target(one) == target(other) || there(one).is_some_and(|one| there(other) == Some(one))
}

/// Whether a file is claimed.
pub(crate) fn is_claimed(path: &Path) -> bool {
    let inode = std::fs::metadata(path)
        .ok()
        .filter(|it| it.is_file())
        .map(|it| inode(&it));
    let path = target(path);
    find(&lock(&WRITTEN).0, &path, inode)
}

fn find(all: &[Written], path: &Path, inode: Option<(u64, u64)>) -> bool {
    let is_it = |it: &Written| it.path == path || (inode.is_some() && it.inode == inode);
    all.iter().any(is_it)
}

fn inode(metadata: &std::fs::Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

/// What a name leads to, whether that is there or not.
fn target(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    for _ in 0..LINKS {
        let Ok(to) = std::fs::read_link(&path) else {
            break;
        };
        path = path.parent().unwrap_or(Path::new("")).join(to);
    }
    identity(&path)
}

fn is_local(file: &File) -> bool {
    // The number's type is another on each architecture; it has 32 bits.
    fstatfs(file).is_ok_and(|it| LOCAL.contains(&(it.f_type as u32)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_claimed_once_by_any_of_its_names() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink(at("a"), at("link")).unwrap();
        std::os::unix::fs::symlink(directory.path(), at("here")).unwrap();
        let mut first = Claim::of(&at("a")).unwrap();
        for name in ["a", "link", "here/a", "here/link"] {
            assert!(
                Claim::of(&at(name)).is_none() && is_claimed(&at(name)),
                "{name}"
            );
        }
        assert!(first.is_on(&at("link")) && !first.is_on(&at("b")));
        // A name that it got when it was there.
        let file = File::create(at("a")).unwrap();
        assert!(first.made(&file));
        std::fs::hard_link(at("a"), at("b")).unwrap();
        assert!(Claim::of(&at("b")).is_none() && is_claimed(&at("b")));
        // It is complete, and moved aside.
        first.keep_name();
        assert!(Claim::of(&at("b")).is_some() && Claim::of(&at("a")).is_none());
        drop(first);
        assert!(Claim::of(&at("link")).is_some() && !is_claimed(&at("a")));
    }

    #[test]
    fn a_file_is_the_same_by_any_of_its_names() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::os::unix::fs::symlink("a", at("link")).unwrap();
        // There or not.
        for _ in 0..2 {
            for name in ["a", "./a", "link"] {
                assert!(is_same(&at("a"), &at(name)), "{name}");
            }
            assert!(!is_same(&at("a"), &at("b")));
            File::create(at("a")).unwrap();
        }
        std::fs::hard_link(at("a"), at("b")).unwrap();
        assert!(is_same(&at("link"), &at("b")));
    }

    #[test]
    fn names_of_complete_files_stay_taken_where_the_recording_began() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let claim = |name: &str| Claim::of(&at(name)).unwrap();
        let mut names = KeptNames::default();
        names.keep([claim("a"), claim("b")]);
        names.keep([claim("a1"), claim("b1")]);
        let taken = || ["a", "b", "a1", "b1"].map(|name| is_claimed(&at(name)));
        assert_eq!(taken(), [true, true, false, false]);
        names.give_up(&at("b"));
        assert_eq!(taken(), [true, false, false, false]);
        names.clear();
        assert_eq!(taken(), [false; 4]);
    }

    #[test]
    fn other_programs_are_kept_out_until_the_claim_goes() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let open = || {
            File::options()
                .create(true)
                .append(true)
                .open(&path)
                .unwrap()
        };
        let (ours, theirs) = (open(), open());
        if !is_local(&ours) {
            return;
        }
        // A lock is the descriptor's: another one in this process is as good as another program's.
        let taken = || flock(&theirs, FlockOperation::NonBlockingLockExclusive);
        let mut claim = Claim::of(&path).unwrap();
        assert!(claim.made(&ours));
        assert_eq!(taken(), Err(Errno::WOULDBLOCK));
        // Though a descriptor stays.
        drop(claim);
        assert_eq!(taken(), Ok(()));
        assert!(!Claim::of(&path).unwrap().made(&ours));
    }

    #[test]
    fn what_is_no_file_is_anybodys() {
        let null = Path::new("/dev/null");
        let [mut first, second] = [(); 2].map(|()| Claim::of(null).unwrap());
        assert!(first.made(&File::open(null).unwrap()) && !is_claimed(null));
        drop(second);
    }
}
