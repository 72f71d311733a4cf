// SPDX-License-Identifier: MIT OR Apache-2.0
//! The board's file system: SPIFFS, mounted at `/flash`, without folders, in memory.

use std::collections::BTreeMap;

/// Room for file contents; the stock partition is 3 MiB, SPIFFS keeps some for itself.
const CAPACITY: usize = 2_800_000;

/// Files that it has room for: each takes a page of 256 bytes for its name at the least.
const MOST_FILES: usize = CAPACITY / 256;

/// `SPIFFS_OBJ_NAME_LEN` with the terminator, the leading slash counted.
const NAME_LENGTH: usize = 32;

/// What `_boot.py` looks for to go back to IDE mode by itself.
pub(crate) const IDE_MODE_FILE: &str = "/flash/ide_mode.conf";

/// MicroPython's errno values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Errno {
    /// No such file or directory.
    #[error("ENOENT")]
    Enoent,
    /// The name is too long for SPIFFS, or the partition is full.
    #[error("EIO")]
    Eio,
    /// Not a path that can be removed.
    #[error("EINVAL")]
    Einval,
}

impl Errno {
    /// The number that `OSError` carries.
    pub fn number(self) -> i64 {
        match self {
            Errno::Enoent => 2,
            Errno::Eio => 5,
            Errno::Einval => 22,
        }
    }
}

/// The files, by their name in SPIFFS, which starts with a slash.
#[derive(Clone, Debug, Default)]
pub struct Flash {
    files: BTreeMap<String, Vec<u8>>,
}

impl Flash {
    /// The SPIFFS name behind a path; relative paths start at `/flash`, where a board without a
    /// memory card works.
    fn name(path: &str) -> Result<String, Errno> {
        let path = path.strip_prefix("./").unwrap_or(path);
        let name = match path.strip_prefix("/flash") {
            Some(name) if name.starts_with('/') => name.to_owned(),
            _ if path.starts_with('/') => return Err(Errno::Enoent),
            _ => format!("/{path}"),
        };
        if name.len() < 2 {
            return Err(Errno::Enoent);
        }
        if name.len() >= NAME_LENGTH {
            return Err(Errno::Eio);
        }
        Ok(name)
    }

    /// A file's content.
    pub fn read(&self, path: &str) -> Result<&[u8], Errno> {
        let name = Self::name(path)?;
        self.files
            .get(&name)
            .map(Vec::as_slice)
            .ok_or(Errno::Enoent)
    }

    /// Creates or replaces a file.
    pub fn create(&mut self, path: &str) -> Result<(), Errno> {
        let name = Self::name(path)?;
        if self.files.len() >= MOST_FILES && !self.files.contains_key(&name) {
            return Err(Errno::Eio);
        }
        self.files.insert(name, Vec::new());
        Ok(())
    }

    /// Appends to a file that exists; gives how many bytes the partition had room for.
    pub fn append(&mut self, path: &str, data: &[u8]) -> Result<usize, Errno> {
        let name = Self::name(path)?;
        let used: usize = self.files.values().map(Vec::len).sum();
        let file = self.files.get_mut(&name).ok_or(Errno::Enoent)?;
        let length = data.len().min(CAPACITY.saturating_sub(used));
        file.extend_from_slice(&data[..length]);
        Ok(length)
    }

    /// Creates or replaces a file with `data`, whole or as an error.
    pub fn write(&mut self, path: &str, data: &[u8]) -> Result<(), Errno> {
        self.create(path)?;
        match self.append(path, data)? {
            length if length == data.len() => Ok(()),
            _ => Err(Errno::Eio),
        }
    }

    /// Removes a file.
    pub fn remove(&mut self, path: &str) -> Result<(), Errno> {
        let name = Self::name(path)?;
        self.files.remove(&name).map(drop).ok_or(Errno::Enoent)
    }

    /// True when there is such a file.
    pub fn exists(&self, path: &str) -> bool {
        self.read(path).is_ok()
    }

    /// The names in `/flash`, without the slash.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(|name| &name[1..])
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
        assert_eq!(flash.create("/flash"), Err(Errno::Enoent));
        assert_eq!(
            flash.create(&format!("/flash/{}", "x".repeat(31))),
            Err(Errno::Eio)
        );
        assert!(flash.create(&format!("/flash/{}", "x".repeat(30))).is_ok());
        assert_eq!(flash.remove("a.py"), Ok(()));
        assert!(!flash.exists("/flash/a.py"));
    }

    #[test]
    fn the_partition_fills_up() {
        let mut flash = Flash::default();
        assert_eq!(flash.write("big", &vec![0; CAPACITY + 1]), Err(Errno::Eio));
        assert_eq!(flash.read("big").map(<[u8]>::len), Ok(CAPACITY));
    }
}
