// SPDX-License-Identifier: MIT OR Apache-2.0
//! One recorder a directory, and how one is told from another.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// The name of the file in the clips' directory.
pub(crate) const FILE: &str = ".lock";

/// Earlier runs that are remembered.
const FORMER: usize = 16;

/// Why a directory cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LockError {
    #[error("another kendryte-recorder runs in {}", .0.display())]
    Taken(PathBuf),
    #[error("{}: {error}", path.display())]
    File { path: PathBuf, error: io::Error },
}

/// Who this is, where several have one name: each run is another one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Identity {
    pub id: String,
    /// The name of the machine.
    pub host: String,
    /// The ids of earlier runs in this directory.
    pub former: Vec<String>,
}

impl Identity {
    /// Whether an earlier run had this id.
    pub(crate) fn was(&self, id: &str) -> bool {
        self.former.iter().any(|former| former == id)
    }
}

/// A directory that nobody else has, until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    pub identity: Identity,
    _file: File,
}

impl Lock {
    pub(crate) fn take(directory: &Path) -> Result<Self, LockError> {
        let path = directory.join(FILE);
        let failed = |error: io::Error| LockError::File {
            path: path.clone(),
            error,
        };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let mut file = file.map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => (),
            Err(Errno::WOULDBLOCK) => return Err(LockError::Taken(directory.to_owned())),
            // Not every network's file system has locks.
            Err(error) => tracing::warn!("{}: {error}; it is not locked", path.display()),
        }
        let identity = identify(&mut file).map_err(failed)?;
        Ok(Self {
            identity,
            _file: file,
        })
    }
}

/// Makes an id for this run, and has later ones know it.
fn identify(file: &mut File) -> io::Result<Identity> {
    let mut text = Vec::new();
    Read::by_ref(file).take(4096).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text).into_owned();
    let is_id = |id: &&str| id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut known: Vec<_> = text.lines().filter(is_id).map(str::to_owned).collect();
    let former = known.split_off(known.len().saturating_sub(FORMER));
    let mut noise = [0; 8];
    rustix::rand::getrandom(&mut noise, rustix::rand::GetRandomFlags::empty())?;
    let id = format!("{:016x}", u64::from_ne_bytes(noise));
    let lines: String = former
        .iter()
        .chain([&id])
        .map(|id| format!("{id}\n"))
        .collect();
    file.seek(SeekFrom::Start(0))?;
    // A full disk is no reason not to begin: the next run waits a while for this one, which is all.
    if let Err(error) = file.write_all(lines.as_bytes()).and_then(|()| {
        file.set_len(lines.len() as u64)?;
        file.sync_all()
    }) {
        tracing::warn!("the lock's file: {error}");
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Ok(Identity {
        id,
        host: host.trim().to_owned(),
        former,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_had_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let first = Lock::take(directory.path()).unwrap();
        let refused = Lock::take(directory.path()).unwrap_err();
        assert!(matches!(refused, LockError::Taken(_)), "{refused}");
        let id = first.identity.id.clone();
        drop(first);
        let second = Lock::take(directory.path()).unwrap();
        assert!(second.identity.was(&id));
        assert!(!second.identity.was(&second.identity.id));
        drop(second);
        for _ in 0..FORMER * 2 {
            Lock::take(directory.path()).unwrap();
        }
        let last = Lock::take(directory.path()).unwrap();
        assert_eq!(last.identity.former.len(), FORMER);
        assert!(!last.identity.was(&id));
    }

    #[test]
    fn what_is_in_the_file_may_be_anything() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join(FILE), [0xff; 10_000]).unwrap();
        let lock = Lock::take(directory.path()).unwrap();
        assert!(lock.identity.former.is_empty());
        drop(lock);
        assert_eq!(
            Lock::take(directory.path()).unwrap().identity.former.len(),
            1
        );
    }
}
