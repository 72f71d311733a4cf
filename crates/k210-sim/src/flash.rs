// SPDX-License-Identifier: MIT OR Apache-2.0
//! The board's file system: SPIFFS, mounted at `/flash`, without folders, in memory (`vfs.c`,
//! `vfs_spiffs.c` and SPIFFS itself). What is written is in flash at once; the board keeps up to a
//! page of it back until a file is closed.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

/// What SPIFFS stores in a page of 4 KiB (`CONFIG_SPIFFS_LOGICAL_PAGE_SIZE`) after its header.
const PAGE: usize = 4096 - 5;

/// `CONFIG_SPIFFS_LOGICAL_BLOCK_SIZE`.
pub(crate) const BLOCK: usize = 0x2_0000;

/// Pages for files: of the 24 blocks of the stock partition SPIFFS keeps two for itself, and of each
/// block the first page.
const PAGES: usize = (0x30_0000 / BLOCK - 2) * (BLOCK / 4096 - 1);

/// `CONFIG_SPIFFS_OBJ_NAME_LEN`: a name with its leading slash and the terminator.
pub(crate) const NAME_LENGTH: usize = 128;

/// Files that are open at a time: `spiffs_fds` has 128 bytes, a descriptor takes 64.
const DESCRIPTORS: usize = 2;

/// What `_boot.py` looks for to go back to IDE mode by itself.
pub(crate) const IDE_MODE_FILE: &str = "/flash/ide_mode.conf";

/// Where flash is mounted.
const MOUNT: &str = "/flash";

/// MicroPython's errno values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Errno {
    /// Not allowed, or not at the root.
    #[error("EPERM")]
    Eperm,
    /// No such file or directory.
    #[error("ENOENT")]
    Enoent,
    /// The partition is full, or the file is not open for that.
    #[error("EIO")]
    Eio,
    /// There is such a directory.
    #[error("EEXIST")]
    Eexist,
    /// Nothing is mounted there.
    #[error("ENODEV")]
    Enodev,
    /// Not a name for SPIFFS, or not a mount.
    #[error("EINVAL")]
    Einval,
    /// Too many files are open.
    #[error("EMFILE")]
    Emfile,
    /// The partition is full.
    #[error("ENOSPC")]
    Enospc,
}

impl Errno {
    /// The number that `OSError` carries.
    pub fn number(self) -> i64 {
        match self {
            Errno::Eperm => 1,
            Errno::Enoent => 2,
            Errno::Eio => 5,
            Errno::Eexist => 17,
            Errno::Enodev => 19,
            Errno::Einval => 22,
            Errno::Emfile => 24,
            Errno::Enospc => 28,
        }
    }
}

/// SPIFFS's errors (`spiffs.h`), as far as they come up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spiffs {
    Full,
    NotFound,
    OutOfDescriptors,
    ConflictingName,
    NameTooLong,
}

impl Spiffs {
    /// Its number.
    pub(crate) fn code(self) -> i32 {
        match self {
            Spiffs::Full => -10_001,
            Spiffs::NotFound => -10_002,
            Spiffs::OutOfDescriptors => -10_008,
            Spiffs::ConflictingName => -10_023,
            Spiffs::NameTooLong => -10_036,
        }
    }

    /// What `SPIFFS_errno_table` makes of it.
    pub(crate) fn errno(self) -> Errno {
        match self {
            Spiffs::Full => Errno::Enospc,
            Spiffs::NotFound => Errno::Enoent,
            Spiffs::OutOfDescriptors => Errno::Emfile,
            Spiffs::ConflictingName => Errno::Eexist,
            Spiffs::NameTooLong => Errno::Einval,
        }
    }
}

/// The current directory (`vfs_cur`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Directory {
    /// Where `_boot.py` goes on a board without a memory card.
    #[default]
    Flash,
    /// Above the mounts.
    Root,
    /// Where nothing is mounted: `chdir` goes there before it fails.
    Nowhere,
}

/// Where a path leads (`mp_vfs_lookup_path`).
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Place<'a> {
    /// Above the mounts.
    Root,
    /// To nothing.
    Nowhere,
    /// Into flash, with the rest of the path.
    Flash(&'a str),
}

/// A file's content with what the file keeps when it gets another name.
#[derive(Debug)]
struct Object {
    id: u32,
    data: Vec<u8>,
}

/// How a file is opened (`SPIFFS_O_*`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flags {
    pub read: bool,
    pub write: bool,
    pub append: bool,
    /// Makes it if it is not there, and empties it if it is.
    pub create: bool,
}

/// An open file's, until it is dropped.
#[derive(Debug)]
pub(crate) struct Descriptor {
    pub object: u32,
    pub flags: Flags,
    _held: Arc<()>,
}

/// The files, by their name in SPIFFS, which starts with a slash.
#[derive(Debug)]
pub struct Flash {
    files: BTreeMap<String, Object>,
    next: u32,
    mounted: bool,
    directory: Directory,
    open: Vec<(u32, Weak<()>)>,
}

impl Default for Flash {
    fn default() -> Self {
        Flash {
            files: BTreeMap::new(),
            next: 0,
            mounted: true,
            directory: Directory::Flash,
            open: Vec::new(),
        }
    }
}

/// The SPIFFS name behind the rest of a path.
fn name(rest: &str) -> Result<String, Spiffs> {
    let name = match rest {
        _ if rest.starts_with("./") => rest[1..].to_owned(),
        _ if rest.starts_with('/') => rest.to_owned(),
        _ => format!("/{rest}"),
    };
    match name.len() < NAME_LENGTH {
        true => Ok(name),
        false => Err(Spiffs::NameTooLong),
    }
}

/// Pages of a file: its index, and its content.
fn pages(length: usize) -> usize {
    1 + length.div_ceil(PAGE)
}

/// Where the processor is, what is mounted and open: gone with a reset.
impl Flash {
    /// What a start does: flash is mounted, and the current directory.
    pub(crate) fn remount(&mut self) {
        self.mounted = true;
        self.directory = Directory::Flash;
        self.open.clear();
    }

    /// `mp_vfs_umount`, of flash.
    pub(crate) fn unmount(&mut self) -> Result<(), Errno> {
        if !self.mounted {
            return Err(Errno::Einval);
        }
        self.mounted = false;
        if self.directory == Directory::Flash {
            self.directory = Directory::Root;
        }
        Ok(())
    }

    /// Whether it can be seen at the root.
    pub(crate) fn is_mounted(&self) -> bool {
        self.mounted
    }

    /// The current directory.
    pub(crate) fn directory(&self) -> Directory {
        self.directory
    }

    /// `mp_vfs_lookup_path`.
    pub(crate) fn lookup<'a>(&self, path: &'a str) -> Place<'a> {
        let absolute = path.strip_prefix('/');
        if absolute.is_some() || self.directory == Directory::Root {
            let path = absolute.unwrap_or(path);
            if path.is_empty() {
                return Place::Root;
            }
            if self.mounted
                && let Some(rest) = path.strip_prefix(&MOUNT[1..])
            {
                match rest {
                    "" => return Place::Flash("/"),
                    _ if rest.starts_with('/') => return Place::Flash(rest),
                    _ => {}
                }
            }
            if absolute.is_some() {
                return Place::Nowhere;
            }
        }
        match self.directory {
            Directory::Flash => Place::Flash(path),
            Directory::Root => Place::Root,
            Directory::Nowhere => Place::Nowhere,
        }
    }

    /// `mp_vfs_chdir`.
    pub(crate) fn change_directory(&mut self, path: &str) -> Result<(), Errno> {
        let (directory, result) = match self.lookup(path) {
            Place::Root => (Directory::Root, Ok(())),
            // `spiffs_vfs_chdir` takes every path for flash itself.
            Place::Flash(_) => (Directory::Flash, Ok(())),
            Place::Nowhere => (Directory::Nowhere, Err(Errno::Enodev)),
        };
        self.directory = directory;
        result
    }

    /// Whether another file can be opened.
    fn descriptor(&mut self) -> Result<(), Spiffs> {
        let files = &self.files;
        // The descriptors of a file that is removed are free.
        self.open.retain(|(object, held)| {
            held.strong_count() > 0 && files.values().any(|file| file.id == *object)
        });
        match self.open.len() < DESCRIPTORS {
            true => Ok(()),
            false => Err(Spiffs::OutOfDescriptors),
        }
    }
}

/// What SPIFFS does, with the rest of a path that leads to it.
impl Flash {
    /// `SPIFFS_info`: bytes in all, and bytes in use.
    pub(crate) fn info(&self) -> (usize, usize) {
        ((PAGES + 1) * PAGE, self.used() * PAGE)
    }

    fn used(&self) -> usize {
        self.files.values().map(|file| pages(file.data.len())).sum()
    }

    /// `spiffs_gc_check`: whether there are as many pages.
    fn room(&self, needed: usize) -> Result<(), Spiffs> {
        match needed <= PAGES.saturating_sub(self.used()) {
            true => Ok(()),
            false => Err(Spiffs::Full),
        }
    }

    /// `SPIFFS_open`.
    pub(crate) fn open(&mut self, rest: &str, flags: Flags) -> Result<Descriptor, Spiffs> {
        let name = name(rest)?;
        self.descriptor()?;
        let object = match self.files.get_mut(&name) {
            Some(file) => {
                if flags.create {
                    file.data.clear();
                }
                file.id
            }
            None if flags.create => {
                self.room(1)?;
                self.next = self.next.wrapping_add(1);
                let id = self.next;
                let data = Vec::new();
                self.files.insert(name, Object { id, data });
                id
            }
            None => return Err(Spiffs::NotFound),
        };
        let held = Arc::new(());
        self.open.push((object, Arc::downgrade(&held)));
        Ok(Descriptor {
            object,
            flags,
            _held: held,
        })
    }

    /// An open file's content; `None` if it was removed.
    pub(crate) fn content(&self, object: u32) -> Option<&[u8]> {
        let file = self.files.values().find(|file| file.id == object)?;
        Some(&file.data)
    }

    /// `SPIFFS_write` to an open file: over what is there, and beyond.
    pub(crate) fn write_at(
        &mut self,
        object: u32,
        position: usize,
        data: &[u8],
    ) -> Result<(), Spiffs> {
        // It asks for a page more than it needs.
        self.room((data.len() + PAGE).div_ceil(PAGE))?;
        let file = self.files.values_mut().find(|file| file.id == object);
        let content = &mut file.ok_or(Spiffs::NotFound)?.data;
        let start = position.min(content.len());
        let end = (start + data.len()).min(content.len());
        content.splice(start..end, data.iter().copied());
        Ok(())
    }

    /// `SPIFFS_stat`: a file's length.
    pub(crate) fn length(&self, rest: &str) -> Result<usize, Spiffs> {
        let file = self.files.get(&name(rest)?).ok_or(Spiffs::NotFound)?;
        Ok(file.data.len())
    }

    /// `SPIFFS_remove`, which opens the file.
    pub(crate) fn delete(&mut self, rest: &str) -> Result<(), Spiffs> {
        let name = name(rest)?;
        self.descriptor()?;
        self.files.remove(&name).map(drop).ok_or(Spiffs::NotFound)
    }

    /// `spiffs_vfs_rename`: what has the new name is removed, the file itself too if it is that.
    pub(crate) fn rename(&mut self, from: &str, to: &str) -> Result<(), Spiffs> {
        match self.rename_once(from, to) {
            Err(Spiffs::ConflictingName) => {
                // The firmware does not look whether it is gone.
                let _ = self.delete(to);
                self.rename_once(from, to)
            }
            result => result,
        }
    }

    /// `SPIFFS_rename`.
    fn rename_once(&mut self, from: &str, to: &str) -> Result<(), Spiffs> {
        let (to, from) = (name(to)?, name(from)?);
        if !self.files.contains_key(&from) {
            return Err(Spiffs::NotFound);
        }
        if self.files.contains_key(&to) {
            return Err(Spiffs::ConflictingName);
        }
        self.descriptor()?;
        let file = self.files.remove(&from).ok_or(Spiffs::NotFound)?;
        self.files.insert(to, file);
        Ok(())
    }

    /// `SPIFFS_readdir`: names without their slashes, and lengths.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, usize)> {
        self.files
            .iter()
            .map(|(name, file)| (name.trim_start_matches('/'), file.data.len()))
    }

    /// `SPIFFS_format`.
    pub(crate) fn format(&mut self) {
        self.files.clear();
    }
}

/// Files by whole paths, as the firmware's C code opens them (`vfs_internal.c`).
impl Flash {
    fn place<'a>(&self, path: &'a str) -> Result<&'a str, Errno> {
        match self.lookup(path) {
            Place::Flash(rest) => Ok(rest),
            Place::Root | Place::Nowhere => Err(Errno::Enoent),
        }
    }

    /// A file's content.
    pub fn read(&self, path: &str) -> Result<&[u8], Errno> {
        let name = name(self.place(path)?).map_err(Spiffs::errno)?;
        let file = self.files.get(&name).ok_or(Errno::Enoent)?;
        Ok(&file.data)
    }

    /// Creates or replaces a file.
    pub fn create(&mut self, path: &str) -> Result<(), Errno> {
        let flags = Flags {
            create: true,
            ..Flags::default()
        };
        let rest = self.place(path)?;
        self.open(rest, flags).map(drop).map_err(|_| Errno::Eio)
    }

    /// Appends to a file that exists, all of it or nothing.
    pub fn append(&mut self, path: &str, data: &[u8]) -> Result<(), Errno> {
        let name = name(self.place(path)?).map_err(Spiffs::errno)?;
        let file = self.files.get(&name).ok_or(Errno::Enoent)?;
        let (object, end) = (file.id, file.data.len());
        self.write_at(object, end, data).map_err(|_| Errno::Eio)
    }

    /// Creates or replaces a file with `data`; an empty one stays where there is no room.
    pub fn write(&mut self, path: &str, data: &[u8]) -> Result<(), Errno> {
        self.create(path)?;
        self.append(path, data)
    }

    /// Removes a file.
    pub fn remove(&mut self, path: &str) -> Result<(), Errno> {
        let rest = self.place(path)?;
        self.delete(rest).map_err(Spiffs::errno)
    }

    /// True when there is such a file.
    pub fn exists(&self, path: &str) -> bool {
        self.read(path).is_ok()
    }

    /// What the flash chip holds, wherever the processor is: `path` begins at `/flash`, or with it.
    pub(crate) fn chip(&self, path: &str) -> Option<&[u8]> {
        let rest = path.strip_prefix("/flash/").unwrap_or(path);
        let file = self.files.get(&name(rest).ok()?)?;
        Some(&file.data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_the_boards() {
        let mut flash = Flash::default();
        flash.write("/flash/a.py", b"1").unwrap();
        assert_eq!(flash.read("a.py"), Ok(&b"1"[..]));
        assert_eq!(flash.read("./a.py"), Ok(&b"1"[..]));
        assert_eq!(flash.read("/sd/a.py"), Err(Errno::Enoent));
        assert_eq!(flash.read("/flash/b.py"), Err(Errno::Enoent));
        assert_eq!(flash.read("/flashy"), Err(Errno::Enoent));
        let long = |count: usize| format!("/flash/{}", "x".repeat(count));
        assert_eq!(flash.create(&long(127)), Err(Errno::Eio));
        assert_eq!(flash.create(&long(126)), Ok(()));
        assert_eq!(flash.remove("a.py"), Ok(()));
        assert!(!flash.exists("/flash/a.py"));
    }

    #[test]
    fn the_partition_fills_up() {
        let mut flash = Flash::default();
        let size = (PAGES - 2) * PAGE;
        assert_eq!(flash.write("big", &vec![0; size + 1]), Err(Errno::Eio));
        assert_eq!(flash.read("big"), Ok(&[][..]));
        assert_eq!(flash.append("big", &vec![0; size]), Ok(()));
        assert_eq!(flash.create("name"), Ok(()));
        assert_eq!(flash.create("another"), Err(Errno::Eio));
        assert_eq!(flash.info(), (683 * 4091, 682 * 4091));
    }

    #[test]
    fn the_current_directory_decides() {
        let mut flash = Flash::default();
        assert_eq!(flash.lookup("a"), Place::Flash("a"));
        assert_eq!(flash.lookup("/flash"), Place::Flash("/"));
        assert_eq!(flash.lookup("/flash//a"), Place::Flash("//a"));
        flash.change_directory("/").unwrap();
        assert_eq!(flash.lookup("a"), Place::Root);
        assert_eq!(flash.lookup("flash/a"), Place::Flash("/a"));
        assert_eq!(flash.change_directory("/sd"), Err(Errno::Enodev));
        assert_eq!(flash.lookup("a"), Place::Nowhere);
        flash.remount();
        flash.unmount().unwrap();
        assert_eq!(flash.directory(), Directory::Root);
        assert_eq!(flash.lookup("/flash/a"), Place::Nowhere);
        assert_eq!(flash.unmount(), Err(Errno::Einval));
    }

    #[test]
    fn two_files_are_open_at_a_time() {
        let mut flash = Flash::default();
        let flags = Flags {
            create: true,
            ..Flags::default()
        };
        let first = flash.open("a", flags).unwrap();
        let second = flash.open("b", flags).unwrap();
        let third = flash.open("c", flags).map(drop);
        assert_eq!(third, Err(Spiffs::OutOfDescriptors));
        assert_eq!(flash.delete("a"), Err(Spiffs::OutOfDescriptors));
        drop(second);
        assert_eq!(flash.delete("a"), Ok(()));
        // The descriptor of what is gone is free.
        let _second = flash.open("b", flags).unwrap();
        let _third = flash.open("c", flags).unwrap();
        assert_eq!(flash.content(first.object), None);
    }

    #[test]
    fn a_file_renamed_to_itself_is_gone() {
        let mut flash = Flash::default();
        flash.write("a", b"1").unwrap();
        flash.write("b", b"2").unwrap();
        assert_eq!(flash.rename("a", "b"), Ok(()));
        assert_eq!(flash.read("b"), Ok(&b"1"[..]));
        assert_eq!(flash.rename("b", "b"), Err(Spiffs::NotFound));
        assert_eq!(flash.entries().count(), 0);
    }
}
