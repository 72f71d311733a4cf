// SPDX-License-Identifier: MIT OR Apache-2.0
//! Recordings that are to stay: the mark lies with the file, so that it outlasts the program. It is
//! the extended attribute `user.kendryte.pinned`; on file systems that have none, as FAT, it is an
//! empty file beside it, `clip.mp4.pinned` for `clip.mp4`. Either counts, whoever made it: `touch
//! clip.mp4.pinned` and `setfattr -n user.kendryte.pinned clip.mp4` pin as well.
//! Knows no GStreamer.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{XattrFlags, getxattr_query, removexattr, setxattr};
use rustix::io::Errno;

/// The attribute; only that it is there counts.
const ATTRIBUTE: &str = "user.kendryte.pinned";

/// The mark of a file system without attributes.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".pinned");
    name.into()
}

/// Whether a file is there and is to stay.
pub(crate) fn is_pinned(path: &Path) -> bool {
    getxattr_query(path, ATTRIBUTE).is_ok() || (beside(path).exists() && path.exists())
}

/// Marks a file. A file that is not there is an error.
pub(crate) fn pin(path: &Path) -> io::Result<()> {
    match setxattr(path, ATTRIBUTE, b"1", XattrFlags::empty()) {
        // EPERM: only files and directories have such attributes.
        Err(Errno::OPNOTSUPP | Errno::NOSPC | Errno::PERM) => {
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false);
            options.open(beside(path)).map(drop)
        }
        result => Ok(result?),
    }
}

/// Takes the marks of a file away. A file that is not there is an error, one that has none is not.
pub(crate) fn unpin(path: &Path) -> io::Result<()> {
    forget(path)?;
    match removexattr(path, ATTRIBUTE) {
        Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Takes away the mark beside a file that is not there any more, so that no other of its name has it.
pub(crate) fn forget(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(beside(path)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_come_and_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.mp4");
        assert!(pin(&path).is_err() && unpin(&path).is_err() && !is_pinned(&path));
        std::fs::write(&path, "kept").unwrap();
        assert!(!is_pinned(&path));
        pin(&path).unwrap();
        pin(&path).unwrap();
        assert!(is_pinned(&path));
        unpin(&path).unwrap();
        unpin(&path).unwrap();
        assert!(!is_pinned(&path));
    }

    #[test]
    fn a_file_beside_it_is_a_mark_too() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.mp4");
        let mark = directory.path().join("a.mp4.pinned");
        std::fs::write(&mark, "").unwrap();
        assert!(!is_pinned(&path), "there is nothing to stay");
        std::fs::write(&path, "kept").unwrap();
        assert!(is_pinned(&path));
        unpin(&path).unwrap();
        assert!(!is_pinned(&path) && !mark.exists());
    }
}
