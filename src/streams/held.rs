// SPDX-License-Identifier: MIT OR Apache-2.0
//! Files that are being written, of all elements in this process: nobody here deletes them.
//! Knows no GStreamer.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};

use super::pins;
use crate::sync::lock;

/// Files by [`identity`]. The lock is held for looking at them, never while a disk is asked, which may
/// hang.
#[derive(Debug)]
struct Names {
    open: Vec<PathBuf>,
    going: Vec<PathBuf>,
}

static NAMES: Mutex<Names> = Mutex::new(Names {
    open: Vec::new(),
    going: Vec::new(),
});

/// A file is gone, or stays after all.
static GONE: Condvar = Condvar::new();

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct OpenFile(PathBuf);

impl Drop for OpenFile {
    fn drop(&mut self) {
        take(&mut lock(&NAMES).open, &self.0);
    }
}

fn take(paths: &mut Vec<PathBuf>, path: &Path) {
    if let Some(at) = paths.iter().position(|it| it == path) {
        paths.swap_remove(at);
    }
}

/// Says that a file is about to be created or opened. Waits if it is being deleted.
pub(crate) fn open(path: &Path) -> OpenFile {
    let path = identity(path);
    let names = lock(&NAMES);
    let wait = GONE.wait_while(names, |names| names.going.contains(&path));
    let mut names = wait.unwrap_or_else(PoisonError::into_inner);
    names.open.push(path.clone());
    OpenFile(path)
}

/// Pins a file that is there. Once that has come back, the file stays.
pub(crate) fn pin(path: &Path) -> io::Result<()> {
    let _open = open(path);
    pins::pin(path)
}

/// Deletes a file, unless it is open or pinned; false if it stays.
pub(crate) fn delete(path: &Path) -> io::Result<bool> {
    let identity = identity(path);
    {
        let mut names = lock(&NAMES);
        if names.open.contains(&identity) || names.going.contains(&identity) {
            return Ok(false);
        }
        names.going.push(identity.clone());
    }
    let deleted = match pins::is_pinned(path) {
        true => Ok(false),
        false => match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(true),
        },
    };
    take(&mut lock(&NAMES).going, &identity);
    GONE.notify_all();
    deleted
}

/// A file's name, however its directory was called.
pub(crate) fn identity(path: &Path) -> PathBuf {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    match (directory.canonicalize(), path.file_name()) {
        (Ok(directory), Some(name)) => directory.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_open_stays_by_any_name() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("a"), "").unwrap();
        std::os::unix::fs::symlink(directory.path(), at("link")).unwrap();
        let [once, twice] = [open(&at("a")), open(&at("link/a"))];
        drop(once);
        assert!(!delete(&at("a")).unwrap() && at("a").exists());
        drop(twice);
        assert!(delete(&at("a")).unwrap() && !at("a").exists());
        assert!(pin(&at("a")).is_err());
    }
}
