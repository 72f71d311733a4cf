// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file that is made: beside its place until it is whole, so that nothing that was there is lost if
//! it does not come to that.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Why there is no file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    /// It would overwrite one.
    #[error("{0} is there already (--force overwrites)")]
    Exists(PathBuf),
    /// It would overwrite the film that it is made of.
    #[error("the new file cannot be the film itself")]
    Itself,
    /// It is a directory or another thing.
    #[error("{0} is no name for a file")]
    NoFile(PathBuf),
    /// The system does not let it be made.
    #[error("{0}: {1}")]
    Io(PathBuf, #[source] io::Error),
}

/// The place of a file; what is unfinished is removed with it.
#[derive(Debug)]
pub(crate) struct Target {
    place: PathBuf,
    unfinished: PathBuf,
    overwrite: bool,
}

impl Target {
    /// The file `place`, to be made of `film`.
    pub(crate) fn new(film: &Path, place: &Path, overwrite: bool) -> Result<Self, TargetError> {
        let no_file = || TargetError::NoFile(place.to_owned());
        let name = place.file_name().ok_or_else(no_file)?;
        match place.symlink_metadata() {
            Ok(there) if there.is_dir() => return Err(no_file()),
            Ok(_) if is_same(film, place) => return Err(TargetError::Itself),
            Ok(_) if !overwrite => return Err(TargetError::Exists(place.to_owned())),
            _ => {}
        }
        let mut hidden = OsString::from(format!(".{}-", std::process::id()));
        hidden.push(name);
        Ok(Self {
            place: place.to_owned(),
            unfinished: place.with_file_name(hidden),
            overwrite,
        })
    }

    /// Where to write.
    pub(crate) fn unfinished(&self) -> &Path {
        &self.unfinished
    }

    /// Gives the file its name.
    pub(crate) fn finish(self) -> Result<(), TargetError> {
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => TargetError::Exists(self.place.clone()),
            _ => TargetError::Io(self.place.clone(), error),
        };
        if self.overwrite {
            return std::fs::rename(&self.unfinished, &self.place).map_err(failed);
        }
        // One that came meanwhile is not replaced; not every file system has links.
        std::fs::hard_link(&self.unfinished, &self.place)
            .or_else(|error| match error.kind() {
                io::ErrorKind::AlreadyExists => Err(error),
                _ => std::fs::rename(&self.unfinished, &self.place),
            })
            .map_err(failed)
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.unfinished);
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (one.canonicalize(), other.canonicalize()) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_there_stays_until_the_new_file_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let film = directory.path().join("film.mp4");
        let place = directory.path().join("board.avi");
        std::fs::write(&film, "film").unwrap();
        std::fs::write(&place, "old").unwrap();
        let refused = Target::new(&film, &place, false).unwrap_err();
        assert!(refused.to_string().contains("--force"));
        assert!(matches!(
            Target::new(&film, &film, true),
            Err(TargetError::Itself)
        ));
        assert!(matches!(
            Target::new(&film, directory.path(), true),
            Err(TargetError::NoFile(_))
        ));

        let given_up = Target::new(&film, &place, true).unwrap();
        std::fs::write(given_up.unfinished(), "half").unwrap();
        drop(given_up);
        assert_eq!(std::fs::read(&place).unwrap(), b"old");

        let target = Target::new(&film, &place, true).unwrap();
        std::fs::write(target.unfinished(), "new").unwrap();
        target.finish().unwrap();
        assert_eq!(std::fs::read(&place).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_file_that_came_meanwhile_is_kept() {
        let directory = tempfile::tempdir().unwrap();
        let place = directory.path().join("board.avi");
        let target = Target::new(Path::new("film.mp4"), &place, false).unwrap();
        std::fs::write(target.unfinished(), "new").unwrap();
        std::fs::write(&place, "other").unwrap();
        assert!(matches!(target.finish(), Err(TargetError::Exists(_))));
        assert_eq!(std::fs::read(&place).unwrap(), b"other");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
