// SPDX-License-Identifier: MIT OR Apache-2.0
//! Which recordings make room for others. Knows no GStreamer.
//!
//! Only files whose names a sink's pattern makes are counted and deleted, the oldest first: by when
//! they were written last, and those of this run behind all others, in the order in which they were
//! begun, so that a clock that was wrong for a while costs no new file. A file that is open in this
//! process (see [`held`]) stays, and so does the newest of all. What is pinned (see [`pins`]) stays and is not
//! counted, or pinning would cost new recordings. A file of frame times goes with its recording, and
//! so does a directory that a place for a time named once it is empty.
//!
//! A sink tells of each file that it is about to open ([`held::open`]), has a look when one was opened
//! and closed ([`Retention::sweep`]), and before it writes ([`Retention::make_room`]): the limits are
//! kept while a file grows too. Looking costs a call of `statvfs` for each 256 KiB; the directory is
//! read only when something is to go, or a file has begun.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};
use std::time::SystemTime;

use super::held::{self, identity};
use super::names::{Found, Pattern, with_suffix};
use super::pins;
use crate::sync::lock;

/// How much may be written between two looks, in bytes.
const STRIDE: u64 = 256 << 10;

/// What all files together may take; 0: no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// How many there may be.
    pub files: u64,
    /// Bytes that they may have.
    pub total_bytes: u64,
    /// Bytes that are to stay free on their file system.
    pub free_bytes: u64,
}

impl Limits {
    /// Whether there are none.
    pub(crate) fn are_none(&self) -> bool {
        *self == Self::default()
    }
}

/// Names of recordings.
#[derive(Debug, Clone)]
pub(crate) struct Family {
    /// All of them.
    pub names: Pattern,
    /// The last number is one that was put behind a name in use.
    pub suffixed: bool,
}

/// What there may be, and of which files.
#[derive(Debug, Clone, Default)]
pub(crate) struct Policy {
    /// How much.
    pub limits: Limits,
    /// The recordings' names.
    pub families: Vec<Family>,
    /// The names of the files of frame times, where each recording has one.
    pub times: Option<Pattern>,
}

/// Why a file was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// There were too many.
    Files,
    /// They had too many bytes.
    TotalBytes,
    /// Too little was free.
    FreeBytes,
}

impl Reason {
    /// The property whose limit it was.
    pub(crate) fn property(self) -> &'static str {
        match self {
            Self::Files => "max-files",
            Self::TotalBytes => "max-total-bytes",
            Self::FreeBytes => "min-free-bytes",
        }
    }
}

/// A file that was deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Deleted {
    /// Which.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Why.
    pub reason: Reason,
}

/// Why a limit is not kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Trouble {
    /// A file could not be deleted.
    #[error("'{path}' can't be deleted: {source}")]
    Delete {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Nothing is left that may be deleted.
    #[error(
        "{property} can't be kept: nothing is left to delete but recordings that are open or pinned, or \
         the newest"
    )]
    NothingLeft {
        /// The property whose limit it is.
        property: &'static str,
    },
}

/// What a look at the files led to.
#[derive(Debug, Default)]
pub(crate) struct Swept {
    /// In the order in which they were deleted.
    pub deleted: Vec<Deleted>,
    /// What has to be told; the same is not told again before it was over.
    pub troubles: Vec<Trouble>,
}

/// A recording that is on the disk.
#[derive(Debug)]
struct File {
    path: PathBuf,
    /// Its place in the order in which files were begun in this run.
    begun: Option<u64>,
    written: SystemTime,
    bytes: u64,
    /// What deleting it frees.
    frees: u64,
    /// The file of its frame times.
    times: Option<PathBuf>,
}

/// The files of this run, in the order in which they were begun.
#[derive(Debug, Default)]
struct Order {
    begun: HashMap<PathBuf, u64>,
    next: u64,
}

/// What one look at the files leaves for the next.
#[derive(Debug, Default)]
struct Counts {
    /// Bytes of all files.
    bytes: u64,
    /// A trouble was told of and is not over.
    told: bool,
}

/// The recordings of one element. Written by the threads that write them.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    order: Mutex<Order>,
    /// Held by the one that looks at the files, for as long as their disk takes. Those that write do
    /// not wait for it, unless there is no room for what they write.
    counts: Mutex<Counts>,
    /// Bytes written since the files were counted, and since the last look.
    written: AtomicU64,
    unseen: AtomicU64,
    /// The next look is due at once.
    soon: AtomicBool,
}

impl Retention {
    /// A file has been begun. A mark of an earlier one that had its name does not keep it.
    pub(crate) fn began(&self, path: &Path, limits: Limits) {
        // If it can't be taken away, the file stays, which costs nothing but room.
        let _ = pins::forget(path);
        if limits.are_none() {
            return;
        }
        let path = identity(path);
        let mut order = lock(&self.order);
        let number = order.next;
        order.next += 1;
        order.begun.insert(path, number);
    }

    /// Has the next look, before anything is written, count the files: one has been begun.
    pub(crate) fn look_soon(&self) {
        self.soon.store(true, Ordering::Relaxed);
    }

    /// Deletes what is beyond the limits. `policy` is asked for more than once: limits may be set meanwhile.
    pub(crate) fn sweep(&self, policy: impl Fn() -> Policy) -> Swept {
        match policy().limits.are_none() {
            true => Swept::default(),
            false => self.sweep_for(&mut lock(&self.counts), policy, 0),
        }
    }

    /// Makes room for `bytes` that are about to be written, if it is time to look and nobody is
    /// looking. `policy` is asked for only then.
    pub(crate) fn make_room(&self, bytes: u64, policy: impl Fn() -> Policy) -> Swept {
        self.written.fetch_add(bytes, Ordering::Relaxed);
        let unseen = self.unseen.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if unseen < STRIDE && !self.soon.load(Ordering::Relaxed) {
            return Swept::default();
        }
        let mut counts = match self.counts.try_lock() {
            Ok(counts) => counts,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            // Half of what is to be free may go meanwhile. The rest is for what can't wait.
            Err(TryLockError::WouldBlock) => {
                let now = policy();
                let least = now.limits.free_bytes / 2;
                if missing(&now, least, bytes) == 0 {
                    return Swept::default();
                }
                return self.sweep_for(&mut lock(&self.counts), policy, bytes);
            }
        };
        self.unseen.store(0, Ordering::Relaxed);
        let soon = self.soon.swap(false, Ordering::Relaxed);
        let now = policy();
        if now.limits.are_none() || !(soon || self.is_short(&counts, &now, bytes)) {
            return Swept::default();
        }
        self.sweep_for(&mut counts, policy, bytes)
    }

    /// Whether a limit may be passed with `bytes` more, as far as that is known without counting.
    fn is_short(&self, counts: &Counts, policy: &Policy, bytes: u64) -> bool {
        let Limits {
            total_bytes,
            free_bytes,
            ..
        } = policy.limits;
        let written = self.written.load(Ordering::Relaxed);
        let total = counts.bytes.saturating_add(written);
        (total_bytes > 0 && total > total_bytes)
            || (free_bytes > 0 && missing(policy, free_bytes, bytes) > 0)
    }

    fn sweep_for(&self, counts: &mut Counts, policy: impl Fn() -> Policy, coming: u64) -> Swept {
        let mut files = self.files(&policy());
        // Asked again: the limits may have been raised while the files were looked at.
        let policy = &policy();
        let limits = policy.limits;
        files.retain(|file| !pins::is_pinned(&file.path));
        let mut count = files.len() as u64;
        let mut total = files.iter().map(|file| file.bytes).sum::<u64>() + coming;
        let mut missing = missing(policy, limits.free_bytes, coming);
        files.sort_by(|a, b| {
            let age = |file: &File| (file.begun.is_some(), file.begun, file.written);
            age(a).cmp(&age(b)).then_with(|| a.path.cmp(&b.path))
        });
        let exceeded = |count: u64, total: u64, missing: u64| {
            if limits.files > 0 && count > limits.files {
                Some(Reason::Files)
            } else if limits.total_bytes > 0 && total > limits.total_bytes {
                Some(Reason::TotalBytes)
            } else {
                (missing > 0).then_some(Reason::FreeBytes)
            }
        };
        let mut swept = Swept::default();
        // Whatever else there is: a recording is not made to be deleted at once.
        files.pop();
        for file in files {
            let Some(reason) = exceeded(count, total, missing) else {
                break;
            };
            match delete(&file) {
                Ok(true) => (),
                Ok(false) => continue,
                Err(source) => {
                    let path = file.path;
                    swept.troubles.push(Trouble::Delete { path, source });
                    continue;
                }
            }
            count -= 1;
            total -= file.bytes;
            missing = missing.saturating_sub(file.frees);
            self.forget(&file);
            remove_empty_directories(policy, &file.path);
            swept.deleted.push(Deleted {
                path: file.path,
                bytes: file.bytes,
                reason,
            });
        }
        if limits.free_bytes > 0 && !swept.deleted.is_empty() {
            settle(policy, coming);
        }
        if let Some(reason) = exceeded(count, total, missing) {
            let property = reason.property();
            swept.troubles.push(Trouble::NothingLeft { property });
        }
        if std::mem::replace(&mut counts.told, !swept.troubles.is_empty()) {
            swept.troubles.clear();
        }
        counts.bytes = total.saturating_sub(coming);
        self.written.store(coming, Ordering::Relaxed);
        swept
    }

    /// The recordings that are there.
    fn files(&self, policy: &Policy) -> Vec<File> {
        let mut files = Vec::new();
        for family in &policy.families {
            let (directory, steps) = family.names.steps();
            let directory = match directory.as_os_str().is_empty() {
                true => PathBuf::from("."),
                false => directory,
            };
            walk(
                &directory,
                &steps,
                Found::default(),
                &mut |path, found, metadata| {
                    files.push(File {
                        begun: self.begun(&path),
                        written: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                        bytes: metadata.len(),
                        // Blocks are of 512 bytes whatever the file system's are (stat(2)). Another name
                        // of the file keeps them.
                        frees: match metadata.nlink() {
                            1 => metadata.blocks() * 512,
                            _ => 0,
                        },
                        times: times_of(policy, family, &found),
                        path,
                    });
                },
            );
        }
        // What somebody else took away.
        let there: Vec<_> = files.iter().filter_map(|file| file.begun).collect();
        let oldest = there.iter().min().copied();
        let mut order = lock(&self.order);
        let kept = |number: &u64| oldest.is_none_or(|oldest| *number >= oldest);
        order.begun.retain(|_, number| kept(number));
        files
    }

    /// A file is gone. It is known by its number: a new one may have its name by now.
    fn forget(&self, file: &File) {
        let mut order = lock(&self.order);
        order.begun.retain(|_, number| Some(*number) != file.begun);
    }

    fn begun(&self, path: &Path) -> Option<u64> {
        let path = identity(path);
        lock(&self.order).begun.get(&path).copied()
    }
}

/// How many bytes less than `least` are free where the recordings are, with `coming` more.
fn missing(policy: &Policy, least: u64, coming: u64) -> u64 {
    if least == 0 {
        return 0;
    }
    let free = place(policy).and_then(|place| rustix::fs::statvfs(&place).ok());
    let free = free.map_or(u64::MAX, |it| it.f_bavail.saturating_mul(it.f_frsize));
    least.saturating_add(coming).saturating_sub(free)
}

/// The directory in which all recordings are.
fn place(policy: &Policy) -> Option<PathBuf> {
    let (directory, _) = policy.families.first()?.names.steps();
    match directory.as_os_str().is_empty() {
        true => Some(".".into()),
        false => Some(directory),
    }
}

/// Some file systems count what was deleted as free only when that is on the disk: what is not seen
/// to be free would cost another recording at the next look.
fn settle(policy: &Policy, coming: u64) {
    if missing(policy, policy.limits.free_bytes, coming) == 0 {
        return;
    }
    let directory = place(policy).and_then(|place| std::fs::File::open(place).ok());
    if let Some(directory) = directory {
        // Where that fails, the next look deletes one more.
        let _ = rustix::fs::syncfs(directory);
    }
}

/// Deletes a recording and what belongs to it; false if it is to stay.
fn delete(file: &File) -> io::Result<bool> {
    delete_by(file, held::delete)
}

/// The file of times is put aside while `delete` looks at the recording: as soon as that is gone, a new one may
/// have both names.
fn delete_by(file: &File, delete: impl FnOnce(&Path) -> io::Result<bool>) -> io::Result<bool> {
    let times = file.times.as_ref().and_then(|times| {
        let mut name = std::ffi::OsString::from(".");
        name.push(times.file_name()?);
        name.push(".deleted");
        let aside = times.with_file_name(name);
        std::fs::rename(times, &aside).ok()?;
        Some((times, aside))
    });
    let deleted = delete(&file.path);
    if let Some((times, aside)) = times {
        // It is small, and useless without the recording.
        let _ = match deleted {
            Ok(true) => std::fs::remove_file(aside),
            Ok(false) | Err(_) => std::fs::rename(aside, times),
        };
    }
    deleted
}

/// Removes the directories that the pattern named, once nothing is in them.
fn remove_empty_directories(policy: &Policy, path: &Path) {
    for family in &policy.families {
        let (root, steps) = family.names.steps();
        let below = path.ancestors().skip(1).take(steps.len() - 1);
        for directory in below.take_while(|directory| directory.starts_with(&root)) {
            if std::fs::remove_dir(directory).is_err() {
                break;
            }
        }
    }
}

/// The file of frame times of a recording.
fn times_of(policy: &Policy, family: &Family, found: &Found) -> Option<PathBuf> {
    let pattern = policy.times.as_ref()?;
    let pattern = pattern.at(|letter| found.times.get(&letter).cloned());
    if pattern.awaits_time() {
        return None;
    }
    let last = found.numbers.last().copied();
    match family.suffixed {
        true => Some(with_suffix(&pattern.fill(&[]), &format!("-{}", last?))),
        false if pattern.places() > 0 => Some(pattern.fill(&[last?]).into()),
        // One file for all, unless a time tells them apart.
        false => pattern.is_timed().then(|| pattern.fill(&[]).into()),
    }
}

/// Visits the files that `steps` name, one directory below the other.
fn walk(
    directory: &Path,
    steps: &[Pattern],
    found: Found,
    visit: &mut impl FnMut(PathBuf, Found, Metadata),
) {
    let Some((step, below)) = steps.split_first() else {
        return;
    };
    // What can't be read holds nothing that can be deleted.
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let Some(here) = name.to_str().and_then(|name| step.read(name)) else {
            continue;
        };
        let mut found = found.clone();
        found.numbers.extend(here.numbers);
        found.times.extend(here.times);
        let path = match directory == Path::new(".") {
            true => PathBuf::from(&name),
            false => entry.path(),
        };
        // This follows no link: what one leads to is not ours.
        match entry.metadata() {
            Ok(metadata) if below.is_empty() && metadata.is_file() => visit(path, found, metadata),
            Ok(metadata) if !below.is_empty() && metadata.is_dir() => {
                walk(&path, below, found, visit);
            }
            _ => (),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    struct Disk(tempfile::TempDir);

    impl Disk {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// Writes a file of 1000 bytes that is `age` s old.
        fn write(&self, name: &str, age: u64) -> PathBuf {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, [0; 1000]).unwrap();
            let when = SystemTime::now() - Duration::from_secs(age);
            let file = std::fs::File::options().write(true).open(&path).unwrap();
            file.set_modified(when).unwrap();
            path
        }

        fn policy(&self, names: &str, limits: Limits) -> Policy {
            let pattern = self.path(names);
            Policy {
                limits,
                families: vec![Family {
                    names: Pattern::new(pattern.to_str().unwrap(), 1).unwrap(),
                    suffixed: false,
                }],
                times: None,
            }
        }

        fn names(&self) -> Vec<String> {
            let mut names = Vec::new();
            let mut open = vec![self.0.path().to_owned()];
            while let Some(directory) = open.pop() {
                for entry in std::fs::read_dir(directory).unwrap() {
                    let path = entry.unwrap().path();
                    let name = path.strip_prefix(self.0.path()).unwrap();
                    names.push(name.to_str().unwrap().to_owned());
                    if path.is_dir() {
                        open.push(path);
                    }
                }
            }
            names.sort();
            names
        }
    }

    fn files(files: u64) -> Limits {
        Limits {
            files,
            ..Limits::default()
        }
    }

    fn told(swept: &Swept) -> Vec<String> {
        swept.troubles.iter().map(Trouble::to_string).collect()
    }

    #[test]
    fn the_oldest_of_the_pattern_go_first() {
        let disk = Disk::new();
        for (name, age) in [("r0001.ts", 50), ("r0002.ts", 90), ("r0003.ts", 70)] {
            disk.write(name, age);
        }
        // Older, and not the pattern's.
        for other in [
            "r1.ts",
            "r0001.ts.bak",
            "notes.txt",
            "r0004.ts/x",
            "xr0001.ts",
        ] {
            disk.write(other, 500);
        }
        std::os::unix::fs::symlink(disk.path("notes.txt"), disk.path("r0009.ts")).unwrap();
        let swept = Retention::default().sweep(|| disk.policy("r%04d.ts", files(1)));
        let gone: Vec<_> = swept.deleted.iter().map(|it| it.path.clone()).collect();
        assert_eq!(gone, [disk.path("r0002.ts"), disk.path("r0003.ts")]);
        assert_eq!(swept.deleted[0].bytes, 1000);
        assert_eq!(swept.deleted[0].reason.property(), "max-files");
        assert!(swept.troubles.is_empty());
        let left = "notes.txt r0001.ts r0001.ts.bak r0004.ts r0004.ts/x r0009.ts r1.ts xr0001.ts";
        assert_eq!(disk.names().join(" "), left);
    }

    #[test]
    fn limits_that_are_taken_away_while_files_are_looked_at_delete_none() {
        let disk = Disk::new();
        disk.write("1.ts", 20);
        disk.write("2.ts", 10);
        let asked = std::cell::Cell::new(0);
        let swept = Retention::default().sweep(|| {
            asked.set(asked.get() + 1);
            // Once to see whether there are any, once for where the files are.
            disk.policy("%d.ts", files(u64::from(asked.get() < 3)))
        });
        assert_eq!(swept.deleted, []);
        assert_eq!(disk.names(), ["1.ts", "2.ts"]);
    }

    #[test]
    fn what_was_begun_now_is_newest_whatever_the_clock_said() {
        let disk = Disk::new();
        let retention = Retention::default();
        // The clock stood in 1980 when these were written.
        let first = disk.write("1.ts", 1_000_000_000);
        retention.began(&first, files(2));
        let second = disk.write("2.ts", 1_100_000_000);
        retention.began(&second, files(2));
        disk.write("0.ts", 10);
        let swept = retention.sweep(|| disk.policy("%d.ts", files(2)));
        assert_eq!(swept.deleted[0].path, disk.path("0.ts"));
        let swept = retention.sweep(|| disk.policy("%d.ts", files(1)));
        assert_eq!(swept.deleted[0].path, first);
    }

    #[test]
    fn what_has_the_name_of_one_that_has_gone_is_newest() {
        let disk = Disk::new();
        let retention = Retention::default();
        let policy = disk.policy("%d.ts", files(1));
        let gone = disk.write("1.ts", 30);
        retention.began(&gone, policy.limits);
        let seen = retention.files(&policy);
        // Begun between the deletion and what comes after it.
        std::fs::remove_file(&gone).unwrap();
        let again = disk.write("1.ts", 10);
        retention.began(&again, policy.limits);
        retention.forget(&seen[0]);
        let older = disk.write("2.ts", 5);
        assert_eq!(retention.sweep(|| policy.clone()).deleted[0].path, older);
        assert!(again.exists());
    }

    #[test]
    fn open_and_pinned_files_stay_and_that_is_told_once() {
        let disk = Disk::new();
        let [open, pinned, other, newest] = [("0.ts", 9), ("1.ts", 8), ("2.ts", 7), ("3.ts", 6)]
            .map(|(name, age)| disk.write(name, age));
        // By another name of the directory.
        std::os::unix::fs::symlink(disk.0.path(), disk.path("link")).unwrap();
        let held = held::open(&disk.path("link/0.ts"));
        held::pin(&pinned).unwrap();
        let retention = Retention::default();
        let policy = disk.policy("%d.ts", files(1));
        let swept = retention.sweep(|| policy.clone());
        assert_eq!(swept.deleted.len(), 1);
        assert_eq!(swept.deleted[0].path, other);
        assert!(told(&swept)[0].starts_with("max-files can't be kept"));
        assert!(retention.sweep(|| policy.clone()).troubles.is_empty());
        drop(held);
        let swept = retention.sweep(|| policy.clone());
        assert_eq!(swept.deleted[0].path, open);
        assert!(swept.troubles.is_empty());
        // One pinned file and one other are within the limit of one.
        assert!(retention.sweep(|| policy.clone()).deleted.is_empty());
        pins::unpin(&pinned).unwrap();
        assert_eq!(retention.sweep(|| policy.clone()).deleted[0].path, pinned);
        assert!(newest.exists());
    }

    #[test]
    fn bytes_are_counted_while_files_grow() {
        let disk = Disk::new();
        for number in 0..4 {
            disk.write(&format!("{number}.ts"), 10 - number);
        }
        let retention = Retention::default();
        let limits = Limits {
            total_bytes: 400_000,
            ..Limits::default()
        };
        let room = |bytes| retention.make_room(bytes, || disk.policy("%d.ts", limits));
        assert!(
            retention
                .sweep(|| disk.policy("%d.ts", limits))
                .deleted
                .is_empty()
        );
        assert!(room(300_000).deleted.is_empty());
        // The file that is written is not one of those here: what it has counts all the same.
        assert_eq!(disk.names().len(), 4);
        let swept = room(396_500);
        assert_eq!(swept.deleted.len(), 1);
        assert_eq!(swept.deleted[0].reason, Reason::TotalBytes);
        assert_eq!(swept.deleted[0].path, disk.path("0.ts"));
    }

    #[test]
    fn no_more_goes_for_free_space_than_is_short() {
        let disk = Disk::new();
        for number in 0..8 {
            disk.write(&format!("{number}.ts"), 10 - number);
        }
        let free = rustix::fs::statvfs(disk.0.path()).unwrap();
        let free = free.f_bavail * free.f_frsize;
        let limits = |free_bytes| Limits {
            free_bytes,
            ..Limits::default()
        };
        let retention = Retention::default();
        let swept = retention.sweep(|| disk.policy("%d.ts", limits(free / 2)));
        assert!(swept.deleted.is_empty());
        let swept = retention.sweep(|| disk.policy("%d.ts", limits(u64::MAX)));
        // All but the newest.
        assert_eq!(swept.deleted.len(), 7);
        assert_eq!(swept.deleted[6].reason, Reason::FreeBytes);
        assert!(told(&swept)[0].contains("min-free-bytes can't be kept"));
    }

    #[test]
    fn the_times_of_a_recording_that_takes_the_name_stay() {
        let disk = Disk::new();
        let (path, times) = (disk.write("r0000.avi", 10), disk.write("r0000.txt", 10));
        let file = || File {
            path: path.clone(),
            begun: None,
            written: SystemTime::UNIX_EPOCH,
            bytes: 1000,
            frees: 4096,
            times: Some(times.clone()),
        };
        // It is to stay, or cannot be deleted: its times are there as they were.
        assert!(!delete_by(&file(), |_| Ok(false)).unwrap());
        assert!(delete_by(&file(), |_| Err(io::ErrorKind::PermissionDenied.into())).is_err());
        assert_eq!(disk.names(), ["r0000.avi", "r0000.txt"]);
        let taken = |path: &Path| {
            std::fs::remove_file(path)?;
            std::fs::write(path, "new")?;
            std::fs::write(&times, "new times")?;
            Ok(true)
        };
        assert!(delete_by(&file(), taken).unwrap());
        assert_eq!(std::fs::read_to_string(&times).unwrap(), "new times");
        assert_eq!(disk.names(), ["r0000.avi", "r0000.txt"]);
    }

    #[test]
    fn files_of_times_and_directories_of_days_go_along() {
        let disk = Disk::new();
        for name in [
            "2026-01-01/r0000.ts",
            "2026-01-01/r0000.txt",
            "2026-01-02/r0001.ts",
            "2026-01-02/r0001.txt",
            "2026-01-02/notes.txt",
            "2026-01-03/r0002.ts",
            "2026-01-03/r0002.txt",
        ] {
            disk.write(name, 100);
        }
        let mut policy = disk.policy("%Y-%m-%d/r%04d.ts", files(1));
        let times = disk.path("%F/r%04d.txt");
        policy.times = Some(Pattern::new(times.to_str().unwrap(), 1).unwrap());
        // It asks for a text that the recordings' names do not have.
        assert_eq!(
            Retention::default().sweep(|| policy.clone()).deleted.len(),
            2
        );
        assert!(disk.path("2026-01-01/r0000.txt").exists());
        std::fs::remove_file(disk.path("2026-01-01/r0000.txt")).unwrap();
        for name in ["2026-01-01/r0000.ts", "2026-01-02/r0001.ts"] {
            disk.write(name, 200);
        }
        let times = disk.path("%Y-%m-%d/r%04d.txt");
        policy.times = Some(Pattern::new(times.to_str().unwrap(), 1).unwrap());
        assert_eq!(
            Retention::default().sweep(|| policy.clone()).deleted.len(),
            2
        );
        assert_eq!(
            disk.names(),
            [
                "2026-01-02",
                "2026-01-02/notes.txt",
                "2026-01-03",
                "2026-01-03/r0002.ts",
                "2026-01-03/r0002.txt"
            ]
        );
    }

    #[test]
    fn a_mark_that_an_earlier_file_left_keeps_no_other() {
        let disk = Disk::new();
        std::fs::write(disk.path("0.ts.pinned"), "").unwrap();
        let path = disk.write("0.ts", 0);
        Retention::default().began(&path, Limits::default());
        assert!(!pins::is_pinned(&path));
    }
}
