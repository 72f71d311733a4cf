// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the sinks make files: nothing is overwritten that was not asked for.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use super::names::Pattern;

/// Why a file was not made.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is one of this name, or a link.
    #[error("'{0}' exists: set overwrite=true, or put a number such as %05d into location")]
    Exists(PathBuf),
    /// There is no such directory, or it takes no files.
    #[error("'{path}' can't be created: {source}")]
    Create {
        /// The name.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Makes the file, empty: a new one, so that no other program takes the name from here on; with
/// `overwrite` the one that is there may be emptied.
pub fn create(path: &Path, overwrite: bool) -> Result<File, CreateError> {
    let mut options = OpenOptions::new();
    options.write(true);
    if overwrite {
        options.create(true).truncate(true);
    } else {
        // O_EXCL: not even a link that leads nowhere is followed.
        options.create_new(true);
    }
    options.open(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => CreateError::Exists(path.to_owned()),
        _ => CreateError::Create {
            path: path.to_owned(),
            source,
        },
    })
}

/// Makes the file that a pattern names with `number` in its place, or with the next number whose
/// file is not there. Returns the name and the number with it.
pub fn create_numbered(
    pattern: &Pattern,
    mut number: u64,
    overwrite: bool,
) -> Result<(File, PathBuf, u64), CreateError> {
    loop {
        let path = PathBuf::from(pattern.fill(&[number]));
        match create(&path, overwrite) {
            Ok(file) => return Ok((file, path, number)),
            Err(CreateError::Exists(_)) if pattern.places() > 0 && number < u64::MAX => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Looks whether a file of this name can be made: its directory is there and is one.
pub fn check_directory(path: &Path) -> Result<(), CreateError> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => return Ok(()),
    };
    let failed = |source| CreateError::Create {
        path: path.to_owned(),
        source,
    };
    match std::fs::metadata(directory) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(failed(io::Error::from(io::ErrorKind::NotADirectory))),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.mp4");
        std::fs::write(&path, "kept").unwrap();
        assert!(matches!(create(&path, false), Err(CreateError::Exists(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"kept");
        create(&path, true).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        let link = directory.path().join("link.mp4");
        let target = directory.path().join("target.mp4");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(matches!(create(&link, false), Err(CreateError::Exists(_))));
        assert!(!target.exists());
    }

    #[test]
    fn numbers_in_use_are_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("2.ts"), "kept").unwrap();
        let pattern = Pattern::new(at("%d.ts").to_str().unwrap(), 1).unwrap();
        let (_, path, number) = create_numbered(&pattern, 2, false).unwrap();
        assert_eq!((path, number), (at("3.ts"), 3));
        let (_, path, number) = create_numbered(&pattern, 2, false).unwrap();
        assert_eq!((path, number), (at("4.ts"), 4));
        let fixed = Pattern::new(at("2.ts").to_str().unwrap(), 1).unwrap();
        let error = create_numbered(&fixed, 2, false).unwrap_err().to_string();
        assert!(
            error.contains("2.ts' exists: set overwrite=true"),
            "{error}"
        );
    }

    #[test]
    fn a_directory_that_is_missing_is_told_of() {
        let directory = tempfile::tempdir().unwrap();
        assert!(check_directory(Path::new("a.mp4")).is_ok());
        assert!(check_directory(&directory.path().join("a.mp4")).is_ok());
        let error = check_directory(&directory.path().join("none/a.mp4")).unwrap_err();
        assert!(error.to_string().contains("none/a.mp4' can't be created"));
    }
}
