// SPDX-License-Identifier: MIT OR Apache-2.0
//! The file of a recording: WAV, or the samples alone.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Layout;
use super::wav::Wav;
use crate::output::SyncThread;

/// What a file's name asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `.wav`
    Wav,
    /// `.pcm`
    Pcm,
}

/// Why a recording's file could not be made or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The extension names no format that is known here.
    #[error("{0:?} ends neither in .wav nor in .pcm")]
    Extension(PathBuf),
    /// The file cannot be made.
    #[error("cannot create {path:?}: {source}")]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// What was recorded is complete, but not at its place.
    #[error(
        "{0:?} is gone: it or its directory was moved, removed or replaced while it was recorded"
    )]
    Gone(PathBuf),
    /// Samples or sizes cannot be written.
    #[error("cannot write {path:?}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Removes a file that was made for a name, if nothing was written to it and it is still the one of that name. A link
/// and a device stay.
pub fn give_back(path: &Path, made: &File) {
    let is_file = std::fs::symlink_metadata(path).is_ok_and(|it| it.is_file());
    if is_file && made.metadata().is_ok_and(|it| it.len() == 0) && is_at(made, path) {
        // That it cannot be removed is no news beside what went wrong before.
        let _ = std::fs::remove_file(path);
    }
}

/// Whether an open file is the one that has this name.
pub fn is_at(file: &File, path: &Path) -> bool {
    let there = std::fs::metadata(path).ok();
    let ours = file.metadata().ok();
    let identity = |it: &std::fs::Metadata| (it.dev(), it.ino());
    there.as_ref().map(identity) == ours.as_ref().map(identity)
}

impl Kind {
    /// The format of `path`, by its extension in small or capital letters.
    pub fn of(path: &Path) -> Result<Self, FileError> {
        let extension = path.extension().unwrap_or_default();
        if extension.eq_ignore_ascii_case("wav") {
            Ok(Self::Wav)
        } else if extension.eq_ignore_ascii_case("pcm") {
            Ok(Self::Pcm)
        } else {
            Err(FileError::Extension(path.to_owned()))
        }
    }
}

#[derive(Debug)]
enum Body {
    Wav(Wav),
    Pcm(File, u64),
}

/// A recording on its way to disk. Dropped without [`Recording::finish`] it is still whole but for
/// the pad byte of an odd WAV.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    body: Body,
    layout: Layout,
    sync: SyncThread,
    /// What the disk did not take.
    unsynced: Arc<Mutex<Option<io::Error>>>,
}

impl Recording {
    /// Makes `path`, or empties it when it exists. Of a recording that does not come about no empty file is left.
    pub fn create(path: &Path, layout: Layout) -> Result<Self, FileError> {
        let kind = Kind::of(path)?;
        let create = |source| FileError::Create {
            path: path.to_owned(),
            source,
        };
        // Opened for reading too: to make room for RF64's sizes, samples are read back and moved.
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(path)
            .map_err(create)?;
        // By which it is known again: if there is no descriptor for that, nor is there for what follows.
        let made = match file.try_clone() {
            Ok(made) => made,
            Err(error) => {
                give_back(path, &file);
                return Err(create(error));
            }
        };
        let begun = Self::begin(path, kind, layout, file);
        begun.inspect_err(|_| {
            // There may be some of a head.
            let _ = made.set_len(0);
            give_back(path, &made);
        })
    }

    fn begin(path: &Path, kind: Kind, layout: Layout, file: File) -> Result<Self, FileError> {
        let create = |source| FileError::Create {
            path: path.to_owned(),
            source,
        };
        let unsynced = Arc::<Mutex<Option<io::Error>>>::default();
        let sync = SyncThread::start(file.try_clone().map_err(create)?, {
            let unsynced = unsynced.clone();
            move |error| *unsynced.lock().unwrap_or_else(PoisonError::into_inner) = Some(error)
        });
        let sync = sync.map_err(create)?;
        let body = match kind {
            Kind::Wav => {
                Body::Wav(Wav::start(file, layout).map_err(|source| FileError::Write {
                    path: path.to_owned(),
                    source,
                })?)
            }
            Kind::Pcm => Body::Pcm(file, 0),
        };
        Ok(Self {
            path: path.to_owned(),
            body,
            layout,
            sync,
            unsynced,
        })
    }

    /// What the samples look like.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Appends samples.
    pub fn write(&mut self, data: &[u8]) -> Result<(), FileError> {
        self.write_through(data).map_err(|source| FileError::Write {
            path: self.path.clone(),
            source,
        })
    }

    fn write_through(&mut self, data: &[u8]) -> io::Result<()> {
        self.check_synced()?;
        match &mut self.body {
            Body::Wav(wav) => wav.write(data)?,
            Body::Pcm(file, len) => {
                file.write_all(data)?;
                *len += data.len() as u64;
            }
        }
        self.sync.written();
        Ok(())
    }

    fn check_synced(&self) -> io::Result<()> {
        let mut unsynced = self.unsynced.lock().unwrap_or_else(PoisonError::into_inner);
        unsynced.take().map_or(Ok(()), Err)
    }

    /// Says that the file is not at its place any more.
    pub fn look(&self) -> Result<(), FileError> {
        let file = match &self.body {
            Body::Wav(wav) => wav.file(),
            Body::Pcm(file, _) => file,
        };
        match is_at(file, &self.path) {
            true => Ok(()),
            false => Err(FileError::Gone(self.path.clone())),
        }
    }

    /// Completes the file. Returns the bytes of samples in it.
    pub fn finish(self) -> Result<u64, FileError> {
        self.sync.written();
        let finished = self.check_synced().and_then(|()| match self.body {
            Body::Wav(wav) => wav.finish(),
            Body::Pcm(_, len) => Ok(len),
        });
        finished.map_err(|source| FileError::Write {
            path: self.path,
            source,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::S16_MONO_48K;
    use super::*;

    #[test]
    fn the_extension_decides() {
        let dir = tempfile::tempdir().unwrap();
        for (name, header) in [("a.wav", 44), ("A.WAV", 44), ("a.pcm", 0)] {
            let path = dir.path().join(name);
            let mut recording = Recording::create(&path, S16_MONO_48K).unwrap();
            recording.write(&[1, 2, 3, 4]).unwrap();
            assert_eq!(recording.finish().unwrap(), 4);
            assert_eq!(std::fs::read(&path).unwrap()[header..], [1, 2, 3, 4]);
        }
        for name in ["a.mp3", "wav", "a"] {
            let err = Recording::create(&dir.path().join(name), S16_MONO_48K).unwrap_err();
            assert!(matches!(err, FileError::Extension(_)), "{name}: {err}");
            assert!(!dir.path().join(name).exists());
        }
    }

    #[test]
    fn a_file_that_is_not_at_its_place_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let [path, aside] = ["a.wav", "b.wav"].map(|name| dir.path().join(name));
        let recording = Recording::create(&path, S16_MONO_48K).unwrap();
        assert!(recording.look().is_ok());
        std::fs::rename(&path, &aside).unwrap();
        assert!(matches!(recording.look(), Err(FileError::Gone(_))));
        std::fs::write(&path, "another").unwrap();
        assert!(matches!(recording.look(), Err(FileError::Gone(_))));
        // A link that leads to it is as good as it.
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink(&aside, &path).unwrap();
        assert!(recording.look().is_ok());
    }

    #[test]
    fn errors_name_the_file() {
        let err = Recording::create(Path::new("/nonexistent/a.wav"), S16_MONO_48K).unwrap_err();
        assert!(err.to_string().contains("/nonexistent/a.wav"));
    }
}
