// SPDX-License-Identifier: MIT OR Apache-2.0
//! How the sinks make files: nothing is overwritten that was not asked for. Knows no GStreamer.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, OFlags, access};

use super::claims::{Claim, is_claimed};
use super::held::{self, OpenFile};
use super::names::{Pattern, with_suffix};
use super::pins;

/// What helps where a location's name is taken.
pub(crate) const PASSED_OVER: &str =
    "with a number such as %05d in location what is there is passed over";

/// Why a file was not made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    /// There is one of this name, or a link.
    #[error("'{0}' exists: set overwrite=true, or choose another name")]
    Exists(PathBuf),
    /// The file of this name is to stay.
    #[error("'{0}' is pinned: unpin it, or choose another name")]
    Pinned(PathBuf),
    /// Somebody writes it, here or in another program.
    #[error("'{0}' is being written by another recorder: choose another location")]
    InUse(PathBuf),
    /// There is no such directory, or it takes no files.
    #[error("'{path}' can't be created: {source}")]
    Create {
        /// The name.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl CreateError {
    /// Whether a file with another number in its name may be made instead.
    pub(crate) fn is_of_name(&self) -> bool {
        matches!(self, Self::Exists(_) | Self::Pinned(_) | Self::InUse(_))
    }
}

/// Has nobody else write a file.
pub(crate) fn claim(path: &Path) -> Result<Claim, CreateError> {
    Claim::of(path).ok_or_else(|| CreateError::InUse(path.to_owned()))
}

/// Looks whether somebody writes a file.
pub(crate) fn check_unclaimed(path: &Path) -> Result<(), CreateError> {
    match is_claimed(path) {
        true => Err(CreateError::InUse(path.to_owned())),
        false => Ok(()),
    }
}

/// Makes the file of a claim, empty: a new one, so that no other program takes the name from here on; with
/// `overwrite` the one that is there may be emptied, unless it is pinned.
fn make(path: &Path, overwrite: bool, claim: &mut Claim) -> Result<File, CreateError> {
    if overwrite && pins::is_pinned(path) {
        return Err(CreateError::Pinned(path.to_owned()));
    }
    let failed = |source| CreateError::Create {
        path: path.to_owned(),
        source,
    };
    let mut options = OpenOptions::new();
    options.write(true);
    if overwrite {
        options.create(true).truncate(false);
    } else {
        // O_EXCL: not even a link that leads nowhere is followed.
        options.create_new(true);
    }
    let file = options.open(path).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => CreateError::Exists(path.to_owned()),
        _ => failed(source),
    })?;
    if !claim.made(&file) {
        return Err(CreateError::InUse(path.to_owned()));
    }
    // Not before it is known to be nobody else's.
    if overwrite && file.metadata().is_ok_and(|it| it.is_file() && it.len() > 0) {
        file.set_len(0).map_err(failed)?;
    }
    Ok(file)
}

/// Opens the file that somebody in this process has made and claims, empty.
pub(crate) fn reopen(path: &Path) -> Result<File, CreateError> {
    make(path, true, &mut Claim::default())
}

/// The right to write a file: nobody else writes it meanwhile, and nobody in this process deletes it.
#[derive(Debug)]
pub(crate) struct Hold {
    claim: Claim,
    _open: OpenFile,
}

impl Hold {
    fn of(path: &Path) -> Result<Self, CreateError> {
        let open = held::open(path);
        Ok(Self {
            claim: claim(path)?,
            _open: open,
        })
    }

    /// Of a file that a sink is about to make or to empty. Other programs do not write it either.
    pub(crate) fn for_sink(path: &Path) -> Result<Self, CreateError> {
        let mut hold = Self::of(path)?;
        if std::fs::metadata(path).is_ok_and(|it| !it.is_file()) {
            // To open a pipe would be noticed by whoever is at its other end.
            return Ok(hold);
        }
        let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .custom_flags(flags.bits().cast_signed())
            .open(path)
            .map_err(|source| CreateError::Create {
                path: path.to_owned(),
                source,
            })?;
        match hold.claim.made(&file) {
            true => Ok(hold),
            false => Err(CreateError::InUse(path.to_owned())),
        }
    }

    /// It is written no more; its name is still claimed.
    pub(crate) fn into_claim(self) -> Claim {
        self.claim
    }
}

/// A file that was made, and the right to write it.
#[derive(Debug)]
pub(crate) struct Claimed {
    /// Open for writing.
    pub file: File,
    /// Its name.
    pub path: PathBuf,
    pub hold: Hold,
}

impl Claimed {
    /// Makes the file; with `overwrite` the one that is there may be emptied, unless it is pinned.
    pub(crate) fn create(path: PathBuf, overwrite: bool) -> Result<Self, CreateError> {
        let mut hold = Hold::of(&path)?;
        let file = make(&path, overwrite, &mut hold.claim)?;
        Ok(Self { file, path, hold })
    }
}

impl io::Write for Claimed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Makes the file that a pattern names with `number` in its place, or with the next number whose
/// file is not there, nor that which `beside` names. Returns the number that it has with it, if the pattern has a place
/// for one.
///
/// A name that has a time and no number stands for that moment, and is never overwritten: where it
/// is in use it gets `-1`, `-2`... in front of the extension.
pub(crate) fn create_numbered(
    pattern: &Pattern,
    mut number: u64,
    overwrite: bool,
    beside: Option<&Pattern>,
) -> Result<(Claimed, u64), CreateError> {
    let of_a_moment = pattern.is_timed() && pattern.places() == 0;
    let beside = beside.filter(|it| it.places() > 0 && pattern.places() > 0 && !overwrite);
    let mut again = 0;
    loop {
        let name = pattern.fill(&[number]);
        let path = match again {
            0 => PathBuf::from(name),
            again => with_suffix(&name, &format!("-{again}")),
        };
        let taken = beside.is_some_and(|it| Path::new(&it.fill(&[number])).exists());
        let created = match taken {
            true => Err(CreateError::Exists(path)),
            false => Claimed::create(path, overwrite && !of_a_moment),
        };
        match created {
            Ok(made) => return Ok((made, number)),
            Err(error) if error.is_of_name() && pattern.places() > 0 && number < u64::MAX => {
                number += 1;
            }
            Err(CreateError::Exists(_) | CreateError::InUse(_))
                if of_a_moment && again < u64::MAX =>
            {
                again += 1
            }
            Err(error) => return Err(error),
        }
    }
}

/// Makes the directories that places for times in `pattern` name, for the file `path`: there is a new
/// one each day, or hour. Others are the user's.
pub(crate) fn create_directories(pattern: &Pattern, path: &Path) -> Result<(), CreateError> {
    let (fixed, steps) = pattern.steps();
    if !pattern.is_timed() || steps.len() < 2 {
        return Ok(());
    }
    let directory = path.parent().unwrap_or(&fixed);
    let exists = fixed.as_os_str().is_empty() || fixed.is_dir();
    let made = match exists {
        true => std::fs::create_dir_all(directory),
        // What fails then says that it is missing.
        false => Ok(()),
    };
    made.map_err(|source| CreateError::Create {
        path: path.to_owned(),
        source,
    })
}

/// Looks whether a file of this name can be made: its directory is there, is one and takes files.
pub(crate) fn check_directory(path: &Path) -> Result<(), CreateError> {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let failed = |source| CreateError::Create {
        path: path.to_owned(),
        source,
    };
    let metadata = std::fs::metadata(directory).map_err(failed)?;
    if !metadata.is_dir() {
        return Err(failed(io::ErrorKind::NotADirectory.into()));
    }
    access(directory, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| failed(error.into()))
}

/// Looks whether a file of this name can be made or, if it is there, be written.
pub(crate) fn check_place(path: &Path) -> Result<(), CreateError> {
    check_directory(path)?;
    let failed = |source| CreateError::Create {
        path: path.to_owned(),
        source,
    };
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(failed(io::ErrorKind::IsADirectory.into())),
        Ok(_) => access(path, Access::WRITE_OK).map_err(|error| failed(error.into())),
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(path: &Path, overwrite: bool) -> Result<Claimed, CreateError> {
        Claimed::create(path.to_owned(), overwrite)
    }

    #[test]
    fn what_is_written_is_nobody_elses() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let one = Pattern::new(at("a.ts").to_str().unwrap(), 1).unwrap();
        let many = Pattern::new(at("%d.ts").to_str().unwrap(), 1).unwrap();
        let (mut first, _) = create_numbered(&one, 0, true, None).unwrap();
        io::Write::write_all(&mut first, b"first").unwrap();
        let error = create_numbered(&one, 0, true, None).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("a.ts' is being written by another")
        );
        assert!(create(&at("a.ts"), true).is_err() && check_unclaimed(&at("a.ts")).is_err());
        assert!(Hold::for_sink(&at("a.ts")).is_err());
        assert_eq!(std::fs::read(at("a.ts")).unwrap(), b"first");
        // A number that is in use is passed over.
        let both = [(); 2].map(|()| create_numbered(&many, 0, true, None).unwrap());
        assert_eq!(both.map(|(_, number)| number), [0, 1]);
        drop(first);
        create(&at("a.ts"), true).unwrap();
        assert_eq!(std::fs::read(at("a.ts")).unwrap(), b"");
    }

    #[test]
    fn what_another_program_writes_is_not_emptied() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.ts");
        std::fs::write(&path, "theirs").unwrap();
        let theirs = File::open(&path).unwrap();
        let exclusive = rustix::fs::FlockOperation::NonBlockingLockExclusive;
        rustix::fs::flock(&theirs, exclusive).unwrap();
        assert!(matches!(create(&path, true), Err(CreateError::InUse(_))));
        assert!(matches!(Hold::for_sink(&path), Err(CreateError::InUse(_))));
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
        drop(theirs);
        create(&path, true).unwrap();
    }

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
        let (made, number) = create_numbered(&pattern, 2, false, None).unwrap();
        assert_eq!((made.path, number), (at("3.ts"), 3));
        let (made, number) = create_numbered(&pattern, 2, false, None).unwrap();
        assert_eq!((made.path, number), (at("4.ts"), 4));
        let fixed = Pattern::new(at("2.ts").to_str().unwrap(), 1).unwrap();
        let error = create_numbered(&fixed, 2, false, None)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("2.ts' exists: set overwrite=true"),
            "{error}"
        );
    }

    #[test]
    fn what_is_pinned_is_not_overwritten() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for number in 0..3 {
            std::fs::write(at(&format!("{number}.ts")), "kept").unwrap();
        }
        pins::pin(&at("0.ts")).unwrap();
        let error = create(&at("0.ts"), true).unwrap_err().to_string();
        assert!(error.contains("0.ts' is pinned: unpin it"), "{error}");
        let pattern = Pattern::new(at("%d.ts").to_str().unwrap(), 1).unwrap();
        let (made, _) = create_numbered(&pattern, 0, true, None).unwrap();
        assert_eq!(made.path, at("1.ts"));
        assert_eq!(std::fs::read(at("0.ts")).unwrap(), b"kept");
    }

    #[test]
    fn a_number_is_taken_by_the_file_beside_too() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("0.txt"), "kept").unwrap();
        let [names, times] =
            ["%d.ts", "%d.txt"].map(|name| Pattern::new(at(name).to_str().unwrap(), 1).unwrap());
        let (made, number) = create_numbered(&names, 0, false, Some(&times)).unwrap();
        assert_eq!((made.path, number), (at("1.ts"), 1));
    }

    #[test]
    fn a_moments_name_is_given_once() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        let pattern = Pattern::new(at("%F/%Hh.ts").to_str().unwrap(), 1).unwrap();
        let pattern_at = pattern.at(|letter| Some(format!("<{letter}>")));
        let first = PathBuf::from(pattern_at.fill(&[]));
        create_directories(&pattern, &first).unwrap();
        for expected in ["<F>/<H>h.ts", "<F>/<H>h-1.ts", "<F>/<H>h-2.ts"] {
            let (made, _) = create_numbered(&pattern_at, 0, true, None).unwrap();
            assert_eq!(made.path, at(expected));
        }
        // Only what the time names is made.
        let lost = Pattern::new(at("none/%F/a.ts").to_str().unwrap(), 0).unwrap();
        create_directories(&lost, &at("none/x/a.ts")).unwrap();
        assert!(!at("none").exists());
    }

    #[test]
    fn a_directory_that_is_missing_is_told_of() {
        let directory = tempfile::tempdir().unwrap();
        // A name alone is one in the current directory. That is the tree, which may be read-only.
        let here = std::env::current_dir().unwrap().join("a.mp4");
        let here = check_directory(&here).is_ok();
        assert_eq!(check_directory(Path::new("a.mp4")).is_ok(), here);
        assert!(check_directory(&directory.path().join("a.mp4")).is_ok());
        let error = check_directory(&directory.path().join("none/a.mp4")).unwrap_err();
        assert!(error.to_string().contains("none/a.mp4' can't be created"));
    }

    #[test]
    fn a_place_where_no_file_can_be_is_told_of() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        std::fs::write(at("there.mp4"), "").unwrap();
        for fine in ["there.mp4", "new.mp4"] {
            assert!(check_place(&at(fine)).is_ok(), "{fine}");
        }
        std::fs::create_dir(at("folder.mp4")).unwrap();
        for bad in ["none/a.mp4", "folder.mp4", "there.mp4/a.mp4"] {
            let error = check_place(&at(bad)).unwrap_err().to_string();
            assert!(error.contains("can't be created"), "{bad}: {error}");
        }
    }
}
